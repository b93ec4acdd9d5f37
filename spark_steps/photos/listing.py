"""Finds the photos of image folders: one row for each photo, none left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pyarrow as pa
from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.photos.folder_tree import Folder, ListedPhoto, list_folder, unlistable, walk
from spark_steps.photos.names import ending_of
from spark_steps.photos.other_files import PassedOver
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange
from spark_steps.tables.row_ranges import compare
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA


@dataclass(frozen=True)
class FolderContents:
    """Figures that show whether the photos of a folder have changed, without opening one.

    Attributes:
        photos: Number of photos.
        length: Bytes of all photos.
        newest: Modification time of the newest photo, milliseconds since 1970.
    """

    photos: int = 0
    length: int = 0
    newest: int = 0

    @classmethod
    def of(cls, photos: Sequence[ListedPhoto]) -> "FolderContents":
        """Returns the contents of a folder with the given photos."""
        newest = max((photo.modified or 0 for photo in photos), default=0)
        return cls(len(photos), sum(photo.length for photo in photos), max(0, newest))


@dataclass(frozen=True)
class ImageFolders:
    """The contents of an images root.

    Attributes:
        contents: Contents of each folder with at least one photo, by the folder's path relative to the root, sorted.
        root_photos: Number of photos in the root itself; they belong to no folder and are not processed.
        passed_over: Files that are not readable photos, and folders that are hidden or a system's own.
        unreadable: Folders that cannot be listed, and why.
    """

    contents: dict[str, FolderContents] = field(default_factory=dict)
    root_photos: int = 0
    passed_over: PassedOver = field(default_factory=PassedOver)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def photos(self) -> dict[str, int]:
        """Number of photos of each folder."""
        return {folder: contents.photos for folder, contents in self.contents.items()}

    def unseen(self, folders: Iterable[str]) -> set[str]:
        """Returns those of some folders that may still be there, because they lie where nothing can be listed."""
        hidden = tuple(f"{folder}/" for folder in self.unreadable)
        return {folder for folder in folders if f"{folder}/".startswith(hidden)}


@dataclass(frozen=True)
class FoundPhotos:
    """The files of some image folders.

    Attributes:
        rows: The photos of each folder, sorted by path, with ``RAW_IMAGES_SCHEMA``.
        others: Names of the files that are not photos, by folder.
    """

    rows: dict[str, pa.Table]
    others: dict[str, list[str]]


def list_image_folders(images: str, patterns: Sequence[str] = ("*",)) -> ImageFolders:
    """Lists the folders below an images root, at any depth, that hold at least one photo.

    Args:
        images: The images root, a normalised location.
        patterns: Shell patterns of the folders that are needed.

    Raises:
        FruitsError: The images root does not exist, is a file, or cannot be listed, as a folder that is needed.
    """
    check_images_root(images)
    contents: dict[str, FolderContents] = {}
    passed_over: defaultdict[str, Counter[str]] = defaultdict(Counter)
    system_folders: list[str] = []
    unreadable: dict[str, str] = {}
    for folder in walk(images):
        if folder.error is not None:
            if not folder.path or any(_may_match(folder.path, pattern) for pattern in patterns):
                raise unlistable(f"{images}/{folder.path}".rstrip("/"), folder.error)
            unreadable[folder.path] = folder.error
        if folder.photos:
            contents[folder.path] = FolderContents.of(folder.photos)
        endings = [ending for name in folder.others if (ending := ending_of(name)) is not None]
        if endings:
            passed_over[folder.path].update(endings)
        system_folders += [f"{folder.path}/{name}".lstrip("/") for name in folder.passed_over]
    at_root = contents.pop("", FolderContents())
    passed = PassedOver(passed_over, tuple(sorted(system_folders)))
    return ImageFolders(dict(sorted(contents.items())), at_root.photos, passed, unreadable)


def _may_match(folder: str, pattern: str) -> bool:
    """Returns whether a pattern may match a folder, or one below it; a ``*`` matches slashes too."""
    literal = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    below = literal != pattern and f"{folder}/".startswith(literal)
    return below or fnmatchcase(folder, pattern) or pattern.startswith(f"{folder}/")


def count_photos(images: str, folders: Iterable[str]) -> dict[str, int]:
    """Returns the number of photos in each of the given folders, by a new listing."""
    return {folder: 0 if found is None else len(found.photos) for folder, found in _listed(images, folders).items()}


def check_images_root(images: str) -> None:
    """Raises a FruitsError unless the images root is a folder."""
    kind = locations.file_type(images)
    if kind == fs.FileType.NotFound:
        raise FruitsError(f"The images folder {images} does not exist. Check the path.")
    if kind != fs.FileType.Directory:
        raise FruitsError(f"{images} is a file. Give the folder whose subfolders hold the photos, one folder a label.")


def check_below_root(folders: Iterable[str]) -> None:
    """Raises a FruitsError unless each folder is below the images root: users can add partitions of any name."""
    for folder in folders:
        if not {"", ".", ".."}.isdisjoint(folder.split("/")):
            raise FruitsError(f"{folder!r} is no folder below the images root. Run sync_image_folders to drop it.")


def find_photos(images: str, folders: Sequence[str], max_bytes: int) -> FoundPhotos:
    """Lists the files of image folders without opening one.

    A photo that is empty, longer than ``max_bytes`` or no file has the reason in ``error``. Files of subfolders belong
    to the subfolders. ``label`` is the last component of the folder.

    Args:
        images: The images root, a normalised location.
        folders: Folders relative to the root.
        max_bytes: Length above which a photo is not read.

    Raises:
        FruitsError: The root or one of the folders does not exist, or cannot be listed.
    """
    check_images_root(images)
    listed = _listed(images, folders)
    if missing := [folder for folder in folders if listed[folder] is None]:
        raise FruitsError(
            f"{len(missing)} of the folders are no longer under {images}, the first is {missing[0]!r}. "
            "Run the job sync_image_folders to drop them."
        )
    found = [folder for folder in listed.values() if folder is not None]
    return FoundPhotos(
        {folder.path: _rows(folder, max_bytes) for folder in found},
        {folder.path: sorted(folder.others) for folder in found if folder.others},
    )


def _listed(images: str, folders: Iterable[str]) -> dict[str, Folder | None]:
    names = list(folders)
    check_below_root(names)
    return dict(zip(names, for_each(lambda folder: list_folder(images, folder), names), strict=True))


def _rows(folder: Folder, max_bytes: int) -> pa.Table:
    photos = sorted(folder.photos, key=lambda photo: photo.name)
    label = folder.path.rpartition("/")[2]
    modified = [None if photo.modified is None else photo.modified * 1000 for photo in photos]
    columns = [
        [f"{folder.path}/{photo.name}" for photo in photos],
        [label] * len(photos),
        [photo.length for photo in photos],
        modified,
        [photo.error or _listing_error(photo.length, max_bytes) for photo in photos],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, RAW_IMAGES_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=RAW_IMAGES_SCHEMA)


def _listing_error(length: int, max_bytes: int) -> str | None:
    if length == 0:
        return "empty: the file has no bytes"
    return f"too large: {length} bytes, and at most {max_bytes} are read" if length > max_bytes else None


def plan_raw_images(raw: FolderTable, found: Mapping[str, pa.Table]) -> TableChange:
    """Plans the change of raw_images to the rows of a listing; files whose rows all stay are not written again.

    Args:
        raw: The table raw_images.
        found: The wanted rows of each folder.
    """
    base = raw.snapshot()
    files: dict[str, list[DataFile]] = {folder: [] for folder in found}
    for file in base.files:
        if file.folder in files:
            files[file.folder].append(file)

    def plan(folder: str) -> tuple[list[pa.Table], list[DataFile], int]:
        there = [_read(raw, file) for file in files[folder]]
        difference = compare(_keys(found[folder]), [_keys(rows) for rows in there])
        changed = [
            (file, rows.take(pa.array(kept, pa.int64())))
            for file, rows, kept in zip(files[folder], there, difference.kept, strict=True)
            if len(kept) < file.rows
        ]
        parts = [found[folder].take(pa.array(difference.new, pa.int64())), *(rows for _, rows in changed)]
        kept = sum(rows.num_rows for _, rows in changed)
        return [part for part in parts if part.num_rows], [file for file, _ in changed], kept

    planned = dict(zip(found, for_each(plan, found), strict=True))
    parts = {folder: parts for folder, (parts, _, _) in planned.items() if parts}
    removed = [file for _, gone, _ in planned.values() for file in gone]
    changed = frozenset(parts) | {file.folder for file in removed}
    kept = sum(rows for _, _, rows in planned.values())
    return TableChange(base, DriverRows(parts) if parts else None, removed, changed, kept)


def _read(table: FolderTable, file: DataFile) -> pa.Table:
    return pa.Table.from_batches(table.batches(file), table.schema)


def _keys(rows: pa.Table) -> list[tuple[object, ...]]:
    modified = rows["modification_time"].cast(pa.int64())
    columns = (column.to_pylist() for column in (rows["path"], rows["length"], modified, rows["error"]))
    return list(zip(*columns, strict=True))
