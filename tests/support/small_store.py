"""A store made by hand, without Spark, here or in S3; and a search of files for what is not to be in them."""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.pca.moments import version_of
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows, write_file
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import with_folder
from spark_steps.tables.totals import digest_of

TIME = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "network"
OF_ALL_PHOTOS, OF_AUDIT = ("raw_images", "mobilenet_features"), ("photo_splits", "photo_audit")


@dataclass(frozen=True)
class Photo:
    """A photo of such a store: its bytes are no picture, which nothing here minds.

    Attributes:
        images: The images root.
        name: The file's name.
    """

    images: str
    folder: str
    name: str
    content: bytes
    error: str | None = None

    @property
    def path(self) -> str:
        """Where it lies below the images root, as the tables have it."""
        return f"{self.folder}/{self.name}"

    @property
    def location(self) -> str:
        return f"{self.images}/{self.path}"

    @property
    def image_id(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def numbers(self) -> list[float]:
        random = np.random.default_rng(int(self.image_id[:8], 16))
        return [float(number) for number in random.random(1280, np.float32)]

    def row(self, table: str) -> dict[str, object]:
        named = {"path": self.path, "folder": self.folder, "label": self.folder.rpartition("/")[2]}
        about = {"length": len(self.content), "modification_time": TIME, "error": self.error}
        if table == "raw_images":
            return {**named, **about, "error": None}
        named["image_id"] = self.image_id
        if table == "reduced_features":
            return {**named, "reduced": self.numbers[:4], "pca_model": "v"}
        if table == "photo_splits":
            return {**named, "group": 0, "split": "train", "label_cosine": 0.5, "audit": "a"}
        if table == "photo_audit":
            found = {
                "kind": "outlier",
                "severity": "info",
                "score": 0.5,
                "reason": "It is far from all.",
                "group": None,
            }
            return {**named, **found, "audit": "a"}
        features = None if self.error else self.numbers
        return {**named, **about, "format": "JPEG", "width": 1, "height": 1, "features": features, "model": MODEL}

    def needles(self) -> list[bytes]:
        """What tells of it, in any file."""
        vectors = [np.asarray(self.numbers, np.float32).tobytes(), np.asarray(self.numbers[:4], np.float32).tobytes()]
        return [
            self.path.encode(),
            json.dumps(self.path)[1:-1].encode(),
            self.image_id.encode(),
            self.content,
            *vectors,
        ]


def make_photos(images: str, folders: Iterable[str], each: int) -> list[Photo]:
    return [
        Photo(images, folder, f"{number} é.jpg", f"photo {number} of {folder}".encode() * 9)
        for folder in folders
        for number in range(each)
    ]


def write_photos(photos: Iterable[Photo]) -> None:
    for photo in photos:
        locations.write_bytes(photo.location, photo.content)


def write_rows(store: Store, photos: list[Photo], *, model: bool = True, audited: bool = False) -> None:
    """Writes the tables of a run, and those of an audit if there was one, and a PCA model fitted on all photos.

    There are two files a folder where there are rows for two.
    """
    if photos:
        store.claim_images(photos[0].images)
    for name, table in store.tables.items():
        if audited or name not in OF_AUDIT:
            rows = [photo.row(name) for photo in photos if name in OF_ALL_PHOTOS or photo.error is None]
            _write(table, rows)
    if model:
        write_model(store, [photo for photo in photos if photo.error is None])


def write_model(store: Store, photos: list[Photo]) -> str:
    digest = digest_of(int(photo.image_id, 16) for photo in photos)
    version = version_of(len(photos), digest, MODEL, 4)
    folders = sorted({photo.folder for photo in photos})
    document = {"version": version, "features_model": MODEL, "folders": folders, "asked_components": 4}
    locations.write_json(f"{store.pca_models}/{version}/model.json", {**document, "asked_variance": None})
    locations.write_json(f"{store.pca_models}/current.json", {"version": version})
    return version


def _write(table: FolderTable, rows: list[dict[str, object]]) -> None:
    table.log.create()
    added = []
    for folder in sorted({str(row["folder"]) for row in rows}):
        of_folder = [row for row in rows if row["folder"] == folder]
        for part in (of_folder[::2], of_folder[1::2]):
            if part:
                batch = pa.Table.from_pylist(part, with_folder(table.schema)).drop_columns(["folder"]).to_batches()
                added.append(write_file(table.root, folder, batch))
    base = table.snapshot()
    table.commit(added, TableChange(base, None, (), frozenset(file.folder for file in added)))


def replace_rows(table: FolderTable, folder: str, rows: pa.Table) -> None:
    """Makes some rows all that a table has of a folder; without a row the folder is gone."""
    table.write(table.replacement(DriverRows({folder: [rows]} if rows.num_rows else {}), [folder]))


def rows_of(store: Store) -> dict[str, pa.Table]:
    """All rows of all tables, in the order of their paths."""
    return {
        name: table.arrow(with_folder(table.schema).names).sort_by([("path", "ascending"), ("folder", "ascending")])
        for name, table in store.tables.items()
    }


def all_that_a_file_says(name: str, content: bytes) -> list[bytes]:
    """Its bytes, and those of a Parquet file's columns, which it keeps compressed."""
    # What a process that was killed has left may be the beginning of a file.
    if not (name.endswith(".parquet") and content.endswith(b"PAR1")):
        return [name.encode(), content]
    with pq.ParquetFile(io.BytesIO(content)) as file:
        table, metadata = file.read().combine_chunks(), file.metadata
    buffers = [
        buffer.to_pybytes()
        for column in table.columns
        for chunk in column.chunks
        for buffer in chunk.buffers()
        if buffer is not None
    ]
    groups = [metadata.row_group(group).column(one) for group in range(metadata.num_row_groups) for one in (0, 1)]
    return [name.encode(), content, *buffers, repr([group.statistics for group in groups]).encode()]


def files_that_say(contents: dict[str, bytes], needles: Iterable[bytes]) -> dict[str, bytes]:
    """Returns the files that say any of some things, and what: none is what a test wants."""
    wanted = list(needles)
    found = {}
    for name, content in contents.items():
        told = all_that_a_file_says(name, content)
        if said := next((one for one in wanted if any(one in part for part in told)), None):
            found[name] = said
    return found


def contents_below(*directories: str | Path) -> dict[str, bytes]:
    return {
        str(file): file.read_bytes()
        for directory in directories
        for file in Path(directory).rglob("*")
        if file.is_file()
    }
