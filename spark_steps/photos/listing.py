"""Finds the photos of image folders: one row for each photo, none left out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import fs
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_steps.errors import FruitsError
from spark_steps.photos.folder_tree import broken_links
from spark_steps.photos.other_files import PassedOver, ending_of
from spark_steps.spark.interruptible import collect
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange
from spark_steps.tables.row_ranges import compare
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA

# Folder, name, length in bytes, modification time in microseconds, and whether it is a file.
_Listed = tuple[str, str, int, int, bool]
PHOTO_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff")


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

    def with_photo(self, info: fs.FileInfo) -> "FolderContents":
        """Returns the contents with one more photo."""
        # Truncated and not rounded, as in Spark.
        changed = info.mtime_ns // 1_000_000
        return FolderContents(self.photos + 1, self.length + info.size, max(self.newest, changed))


@dataclass(frozen=True)
class ImageFolders:
    """The contents of an images root.

    Attributes:
        contents: Contents of each folder with at least one photo, by the folder's path relative to the root, sorted.
        root_photos: Number of photos in the root itself; they belong to no folder and are not processed.
        hidden_photos: Number of photos in folders whose name begins with a dot; they are not processed.
        broken_links: Broken symbolic links with a photo's name, sorted; they are not processed.
        passed_over: Files that are not readable photos, without hidden files.
    """

    contents: dict[str, FolderContents] = field(default_factory=dict)
    root_photos: int = 0
    hidden_photos: int = 0
    broken_links: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)

    @property
    def photos(self) -> dict[str, int]:
        """Number of photos of each folder."""
        return {folder: contents.photos for folder, contents in self.contents.items()}


@dataclass(frozen=True)
class FoundPhotos:
    """The files of some image folders.

    Attributes:
        rows: The photos of each folder, sorted by path, with ``RAW_IMAGES_SCHEMA``.
        others: Names of the files that are not photos, by folder.
    """

    rows: dict[str, pa.Table]
    others: dict[str, list[str]]


def is_photo(name: str) -> bool:
    """Returns whether a file name is that of a photo: it has a known extension, in any case, and no leading dot."""
    return not name.startswith(".") and "." in name and name.rsplit(".", 1)[1].lower() in PHOTO_EXTENSIONS


def list_image_folders(images: str) -> ImageFolders:
    """Lists the folders below an images root, at any depth, that hold at least one photo.

    Photos in directories whose name begins with a dot are only counted; they belong to no folder.

    Args:
        images: The images root, a normalised location.

    Raises:
        FruitsError: The images root does not exist, is a file, or cannot be listed.
    """
    check_images_root(images)
    broken = () if locations.is_remote(images) else _broken_photos(images)
    _, root = locations.filesystem_of(images)
    contents: dict[str, FolderContents] = {}
    passed_over: defaultdict[str, Counter[str]] = defaultdict(Counter)
    hidden = 0
    try:
        found = locations.list_files(images, recursive=True)
    except OSError as error:
        raise _unlistable(images, error) from error
    for info in found:
        if info.type != fs.FileType.File:
            continue
        folder = info.path[len(root) + 1 : -len(info.base_name) - 1]
        parts = folder.split("/")
        # A key in S3 may have an empty part (a//b.jpg). Such a folder cannot be listed: count its photos as the root's.
        folder = folder if all(parts) else ""
        photo, in_hidden = is_photo(info.base_name), any(part.startswith(".") for part in parts)
        if photo and in_hidden:
            hidden += 1
        elif photo:
            contents[folder] = contents.get(folder, FolderContents()).with_photo(info)
        elif not in_hidden and (ending := ending_of(info.base_name)) is not None:
            passed_over[folder][ending] += 1
    at_root = contents.pop("", FolderContents())
    return ImageFolders(dict(sorted(contents.items())), at_root.photos, hidden, broken, PassedOver(passed_over))


def _broken_photos(images: str) -> tuple[str, ...]:
    try:
        links = (link for link in broken_links(images) if "/." not in link.removeprefix(images))
        return tuple(link for link in links if is_photo(link.rpartition("/")[2]))
    except OSError as error:
        raise _unlistable(images, error) from error


def _unlistable(images: str, error: OSError) -> FruitsError:
    return FruitsError(f"{images} cannot be listed: {error}. Check its permissions.")


def count_photos(images: str, folders: Iterable[str]) -> dict[str, int]:
    """Returns the number of photos in each of the given folders, by a listing other than Spark's."""

    def count(folder: str) -> int:
        infos = locations.list_files(f"{images}/{folder}")
        return sum(info.type == fs.FileType.File and is_photo(info.base_name) for info in infos)

    names = list(folders)
    check_below_root(names)
    return dict(zip(names, for_each(count, names), strict=True))


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


def find_photos(spark: SparkSession, images: str, folders: Sequence[str], max_bytes: int) -> FoundPhotos:
    """Lists the files of image folders without opening one: with Spark's ``binaryFile``, in S3 with S3's own listing.

    In S3 ``binaryFile`` would make one more request for the status of each photo, one after the other in each task. A
    listing returns 1,000 photos per request.

    A photo that is empty or longer than ``max_bytes`` has the reason in ``error``. Files of subfolders belong to the
    subfolders. ``label`` is the last component of the folder.

    Args:
        spark: The session.
        images: The images root, a normalised location.
        folders: Folders relative to the root.
        max_bytes: Length above which a photo is not read.

    Raises:
        FruitsError: The root or one of the folders does not exist.
    """
    files = _existing_files(images, folders)
    if locations.is_remote(images):
        return _found(folders, _listed(files), max_bytes)
    return _found(folders, [*_seen_by_spark(spark, images, folders), *_passed_over_by_spark(files)], max_bytes)


def look_for_photos(images: str, folders: Sequence[str], max_bytes: int) -> FoundPhotos:
    """Lists what ``find_photos`` lists, without Spark: one request after the other for each 1,000 files of a folder.

    Args:
        images: The images root, a normalised location.
        folders: Folders relative to the root.
        max_bytes: Length above which a photo is not read.

    Raises:
        FruitsError: The root or one of the folders does not exist.
    """
    return _found(folders, _listed(_existing_files(images, folders)), max_bytes)


def _existing_files(images: str, folders: Sequence[str]) -> dict[str, list[fs.FileInfo]]:
    check_images_root(images)
    check_below_root(folders)
    files = _files_of(images, folders)
    if missing := [folder for folder in folders if files[folder] is None]:
        raise FruitsError(
            f"{len(missing)} of the folders are no longer under {images}, the first is {missing[0]!r}. "
            "Run the job sync_image_folders to drop them."
        )
    return {folder: infos or [] for folder, infos in files.items()}


def _found(folders: Sequence[str], listed: Iterable[_Listed], max_bytes: int) -> FoundPhotos:
    photos: dict[str, list[tuple[str, int, int]]] = {folder: [] for folder in folders}
    others: dict[str, list[str]] = {}
    for folder, name, length, modified, is_file in listed:
        if is_file and is_photo(name):
            photos[folder].append((f"{folder}/{name}", length, modified))
        else:
            others.setdefault(folder, []).append(name)
    rows = {folder: _rows(folder, sorted(found), max_bytes) for folder, found in photos.items()}
    return FoundPhotos(rows, {folder: sorted(names) for folder, names in others.items()})


def _listed(files: Mapping[str, Iterable[fs.FileInfo]]) -> Iterator[_Listed]:
    """Yields folder, name, length, modification time (microseconds) and whether it is a file, for each file."""
    for folder, infos in files.items():
        for info in infos:
            modified = _milliseconds(info.mtime_ns // 1000)
            yield folder, info.base_name, info.size, modified, info.type == fs.FileType.File


def _seen_by_spark(spark: SparkSession, images: str, folders: Sequence[str]) -> Iterator[_Listed]:
    """Yields folder, name, length, modification time (microseconds) and True for the files that binaryFile finds."""
    if not folders:
        return
    reader = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        # A file that is deleted after the listing must not fail the job.
        .option("ignoreMissingFiles", "true")
        .options(**locations.PLAIN_PATHS)
    )
    found = reader.load([f"{images}/{folder}" for folder in listing_roots(folders)]).select(
        # Spark returns file:/a for /a.
        F.regexp_replace("path", "^file:/+", "/").substr(len(images) + 2, 1 << 30).alias("path"),
        "length",
        F.unix_micros("modificationTime").alias("modified"),
    )
    wanted = set(folders)
    # binaryFile sizes its tasks as if it read the files, at 4 MiB or more per photo. No file is read here, so one task
    # per core is enough.
    few = {"spark.sql.files.openCostInBytes": "1", "spark.sql.files.maxPartitionBytes": str(1 << 50)}
    with _settings(spark, few):
        collected = collect(found)
    for path, length, modified in collected:
        folder, _, name = path.rpartition("/")
        if folder in wanted:
            yield folder, name, length, modified, True


def _passed_over_by_spark(files: Mapping[str, Iterable[fs.FileInfo]]) -> Iterator[_Listed]:
    """Yields the same for the files that binaryFile skips: hidden files, empty files and broken links."""
    # Spark skips empty files (PartitioningAwareFileIndex.isNonEmptyFile). A broken link has no size.
    skipped = {
        folder: [info for info in infos if not info.size or hidden_from_spark(info.base_name)]
        for folder, infos in files.items()
    }
    return _listed(skipped)


def _milliseconds(microseconds: int) -> int:
    """Returns a time in microseconds, truncated to whole milliseconds as by binaryFile."""
    return microseconds // 1000 * 1000


def _rows(folder: str, photos: Sequence[tuple[str, int, int]], max_bytes: int) -> pa.Table:
    paths, lengths, modified = zip(*photos, strict=True) if photos else ((), (), ())
    label = folder.rpartition("/")[2]
    errors = [_listing_error(length, max_bytes) for length in lengths]
    columns = [paths, [label] * len(paths), lengths, modified, errors]
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
    with table.reading(file) as opened:
        return opened.read(columns=table.schema.names).cast(table.schema)


def _keys(rows: pa.Table) -> list[tuple[object, ...]]:
    modified = rows["modification_time"].cast(pa.int64())
    columns = (column.to_pylist() for column in (rows["path"], rows["length"], modified, rows["error"]))
    return list(zip(*columns, strict=True))


def listing_roots(folders: Iterable[str]) -> list[str]:
    """Returns the folders from which a recursive listing by Spark reaches each of the given folders once.

    A folder below another given folder is reached from there, unless Spark hides it (see ``hidden_from_spark``).
    """
    wanted = set(folders)
    return sorted(folder for folder in wanted if not _is_reached(folder, wanted))


def _is_reached(folder: str, wanted: set[str]) -> bool:
    parent, _, name = folder.rpartition("/")
    if not parent or hidden_from_spark(name):
        return False
    return parent in wanted or _is_reached(parent, wanted)


def hidden_from_spark(name: str) -> bool:
    """Returns whether Spark's file sources skip a name without a message.

    The rule is ``HadoopFSUtils.shouldFilterOutPathName`` of Spark 3.5. It hides names like ``_DSC1234.JPG``, which many
    cameras give to photos in Adobe RGB.
    """
    return (name.startswith("_") and "=" not in name) or name.startswith(".") or name.endswith("._COPYING_")


def _files_of(images: str, folders: Sequence[str]) -> dict[str, list[fs.FileInfo] | None]:
    """Returns the files of each folder, None for a folder that does not exist."""

    def files(folder: str) -> list[fs.FileInfo] | None:
        try:
            return locations.list_files(f"{images}/{folder}", must_exist=True)
        except (FileNotFoundError, NotADirectoryError):
            return None

    return dict(zip(folders, for_each(files, folders), strict=True))


@contextmanager
def _settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    before = {key: spark.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)
