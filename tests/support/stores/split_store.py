"""A store of features, reduced features and splits, for those who export them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from spark_steps.pca.model import PcaModel
from spark_steps.pca.model_store import save
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import SPLITS_SCHEMA
from tests.support.small_store import MODEL, Photo, make_photos
from tests.support.stores.models import model_by_hand

# Labels that readers take for missing, for numbers, for two columns or two rows, or cannot print.
LABELS = ("007", "NA", "a, b", "null", "two\nlines", "Ωmega", "梨")
EACH, COMPONENTS = 6, 4
AUDIT = "a" * 16


def split_store(root: Path) -> tuple[Store, list[Photo]]:
    """Returns a store and its photos that have features, in the order of the tables; a photo of each label has none."""
    store = Store(str(root))
    photos = make_photos(str(root.parent / "photos"), [f"of/{label}" for label in LABELS], EACH)
    letters = [Photo(photos[0].images, f"of/{label}", "letter.jpg", label.encode(), "not an image") for label in LABELS]
    store.claim_images(photos[0].images)
    for name in ("raw_images", "mobilenet_features", "reduced_features"):
        _write(store.tables[name], [*photos, *([] if name == "reduced_features" else letters)])
    save(pca_model(len(photos)), store.pca_models)
    write_splits(store, {photo.path: part_of(number) for number, photo in enumerate(photos)})
    return store, photos


def _write(table: FolderTable, photos: Sequence[Photo]) -> None:
    """Writes one file for each folder, so that the rows have the order of the photos."""
    name, rows = table.root.rpartition("/")[2], dict[str, list[dict[str, object]]]()
    for photo in photos:
        rows.setdefault(photo.folder, []).append(photo.row(name))
    tables = {folder: [pa.Table.from_pylist(of_folder, table.schema)] for folder, of_folder in rows.items()}
    table.write(table.replacement(DriverRows(tables), sorted(tables)))


def part_of(number: int) -> str:
    """Most photos are for training, as an audit splits them."""
    return ("train", "train", "train", "train", "validation", "test")[number % EACH]


def write_splits(store: Store, parts: Mapping[str, str], audit: str | Mapping[str, str] = AUDIT) -> None:
    """Writes the split of the photos that have features, by their paths; the audit's name may differ by folder."""
    table, rows = store.photo_splits, dict[str, list[dict[str, object]]]()
    photos = store.mobilenet_features.arrow(["image_id", "path", "label", "folder", "error"]).to_pylist()
    for number, photo in enumerate(photos):
        if photo["error"] is None and photo["path"] in parts:
            folder = photo["folder"]
            by = audit if isinstance(audit, str) else audit[folder]
            row = {name: photo[name] for name in ("image_id", "path", "label")}
            rows.setdefault(folder, []).append({**row, "group": number, "split": parts[photo["path"]], "audit": by})
    tables = {folder: [pa.Table.from_pylist(of_folder, SPLITS_SCHEMA)] for folder, of_folder in rows.items()}
    table.write(table.replacement(DriverRows(tables), sorted({*tables, *table.folders()})))


def pca_model(rows: int, version: str = "v") -> PcaModel:
    """Returns the PCA model that has reduced the rows of a small store."""
    return model_by_hand(version, MODEL, rows, [f"of/{label}" for label in LABELS], COMPONENTS)
