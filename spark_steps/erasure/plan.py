"""Plans an erasure: finds the photos, files and rows for the image ids and paths of a request."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

from pyarrow import fs

from spark_steps.erasure.lists import entries_of
from spark_steps.erasure.model_photos import SeenBy, models_that_saw
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.photos.tombstones import read_tombstones, tombstone_of
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.store.store import Store
from spark_steps.tables.row_removal import Matches, RowPredicate, find_rows

IMAGE_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """The photos that are requested to be erased.

    Attributes:
        image_ids: Photos by the sha256 of their bytes, in lower-case hexadecimal.
        paths: Files below the images root, normalised locations.
    """

    image_ids: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()

    def __or__(self, other: "Request") -> "Request":
        return Request(self.image_ids | other.image_ids, self.paths | other.paths)


@dataclass(frozen=True)
class Source:
    """A location below the images root that holds or held a photo to erase.

    Attributes:
        path: The location.
        image_id: The sha256 of the present file; None if there is no file, or an empty one.
        replaced: Whether the present file is another photo, which was not requested. The file then stays, and its
            former versions are deleted.
        versions: Number of files, object versions and delete markers to delete.
    """

    path: str
    image_id: str | None
    replaced: bool
    versions: int


@dataclass(frozen=True)
class Plan:
    """What an erasure deletes.

    Attributes:
        image_ids: The photos.
        sources: Their files, by path.
        rows: Their rows, by table.
        absent: Requested paths without any file or row: mistyped, or erased before. No record shows which.
        erased_before: Requested photos of which only the tombstone exists.
        models: The PCA models that were fitted on some of the photos, or may have been.
    """

    image_ids: frozenset[str]
    sources: list[Source]
    rows: Mapping[str, Matches]
    absent: list[str] = field(default_factory=list)
    erased_before: frozenset[str] = frozenset()
    models: list[SeenBy] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """The files to delete."""
        return [source.path for source in self.sources if source.versions and not source.replaced]

    @property
    def replaced(self) -> list[str]:
        """The files that stay, because another photo has replaced the requested one."""
        return [source.path for source in self.sources if source.replaced]

    @property
    def folders(self) -> set[str]:
        """The folders that lose rows."""
        return {folder for found in self.rows.values() for folder in found.folders}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not any(source.versions for source in self.sources) and not any(
            found.rows or found.former for found in self.rows.values()
        )


def read_request(image_ids: Iterable[str], paths: Iterable[str], images: str) -> Request:
    """Parses image ids and paths.

    Args:
        image_ids: As in the tables, in lower or upper case.
        paths: Absolute or relative paths. A relative path is resolved against the current directory if the result is
            below the images root, else against the images root, as in the tables.
        images: The images root, a normalised location.

    Raises:
        CalledWronglyError: One of ``image_ids`` is not an image id.
        FruitsError: A path is not below the images root.
    """
    ids = [image_id.strip().lower() for image_id in image_ids]
    for image_id in ids:
        if not IMAGE_ID.fullmatch(image_id):
            raise CalledWronglyError(
                f"{image_id!r} is no image id. Give the 64 hexadecimal digits of the column image_id of "
                "mobilenet_features, or the path of the file."
            )
    return Request(frozenset(ids), frozenset(path_below(path, images) for path in paths))


def read_list(text: str, source: str, images: str) -> Request:
    """Parses a list with an image id or a path on each line.

    Args:
        text: The list.
        source: What the list is, as the beginning of an error message.
        images: The images root, a normalised location.

    Raises:
        FruitsError: It is no such list, or a path is not below the images root.
    """
    entries = entries_of(text, source)
    ids = {entry for entry in entries if IMAGE_ID.fullmatch(entry.strip().lower())}
    return read_request(ids, [entry for entry in entries if entry not in ids], images)


def path_below(path: str, images: str) -> str:
    """Resolves the path of a request to a normalised location below the images root.

    Raises:
        FruitsError: The location is not below the images root.
    """
    location = locations.normalise(path)
    if not location.startswith(f"{images}/") and "://" not in path and not Path(path).is_absolute():
        location = locations.below(images, path)
    if not location.startswith(f"{images}/") or ".." in location.split("/"):
        raise FruitsError(
            f"{path} does not lie below {images}, and nothing else is erased. Give the path that the tables have, or "
            "the images folder that it lies in."
        )
    return location


def check_below(paths: Collection[str], images: str, source: str) -> None:
    """Raises a FruitsError unless all paths are below the images root: a store must not make us delete other files.

    Checks the paths themselves and, for existing files on the local disk, the folders with symbolic links resolved.

    Args:
        paths: Paths from a table or a note of the store.
        images: The images root, a normalised location.
        source: The table or the note, for messages.
    """
    for path in paths:
        if not path.startswith(f"{images}/") or ".." in path.split("/"):
            raise FruitsError(
                f"{source} names {path}, which does not lie below {images}, and nothing else is erased. Find out who "
                "has written there."
            )
    if not locations.is_remote(images):
        _check_links(paths, Path(images).resolve())


def _check_links(paths: Collection[str], root: Path) -> None:
    for folder, of_folder in groupby(paths, key=lambda path: Path(path).parent):
        location = folder.resolve()
        if not location.is_relative_to(root) and (there := next(filter(locations.count_versions, of_folder), None)):
            raise FruitsError(
                f"{there} lies in {location}, where a link leads, and only files of the images folder are erased. "
                "Delete it there, or the link; then erase it again."
            )


def older_than(store: Store, moment: datetime, images: str) -> Request:
    """Returns the photos of a store that were last changed before a moment.

    Both the row and the present file must be older: a new photo may have replaced an old one since the last run.

    Args:
        store: The store.
        moment: The moment.
        images: The images root, a normalised location.
    """
    import pyarrow.dataset as ds

    rows = store.raw_images.arrow(["path"], where=ds.field("modification_time") < moment)
    paths = [f"{images}/{path}" for path in rows["path"].to_pylist()]
    changed = for_each(locations.modified, paths)
    return Request(paths=frozenset(path for path, at in zip(paths, changed, strict=True) if at is None or at < moment))


def plan_erasure(store: Store, request: Request, images: str) -> Plan:
    """Finds all files and rows of the requested photos, and changes nothing.

    A requested path stands for photos, not for a name: the present file, the photo that its rows were made from, and
    all copies of both that are in the tables.

    Args:
        store: The store.
        request: The requested photos.
        images: The images root, a normalised location.

    Raises:
        FruitsError: An image id is unknown, or a path cannot be erased.
    """
    here = _look_at(sorted(request.paths), request, frozenset())
    found = _find(store, RowPredicate(request.image_ids, paths_below(request.paths, images)))
    image_ids = request.image_ids | _image_ids(found.values()) | {one.image_id for one in here if one.image_id}
    # First find the copies of the present and former photos of these paths, then all rows with the paths of copies.
    found = _find(store, RowPredicate(image_ids, paths_below(request.paths, images)))
    paths = request.paths | _places(found, images)
    found = _find(store, RowPredicate(image_ids, paths_below(paths, images)))
    sources = _look_at(sorted(paths), request, image_ids)
    known = _image_ids(found.values()) | {source.image_id for source in sources if source.image_id}
    erased_before = check_known(request.image_ids, known, read_tombstones(store.tombstones))
    there = {source.path for source in sources if source.versions} | _places(found, images)
    return Plan(
        image_ids=image_ids - erased_before,
        sources=[source for source in sources if source.path in there],
        rows=found,
        absent=sorted(request.paths - there),
        erased_before=erased_before,
        models=models_that_saw(store, image_ids, found["mobilenet_features"].former_folders),
    )


def check_known(asked: Collection[str], found: Collection[str], tombstones: Collection[str]) -> frozenset[str]:
    """Returns the requested photos that have been erased before.

    Args:
        asked: Requested photos.
        found: Photos in the tables, or present at a path to erase.
        tombstones: Tombstones of the photos erased before.

    Raises:
        FruitsError: A requested photo is neither found nor erased before.
    """
    gone = frozenset(asked) - frozenset(found)
    if unknown := sorted(image_id for image_id in gone if tombstone_of(image_id) not in tombstones):
        raise FruitsError(
            f"No photo of the store has the image id {unknown[0]}"
            + (f", nor {len(unknown) - 1} others that were given" if len(unknown) > 1 else "")
            + ". Check it; a photo that was never run has none yet: give the path of its file."
        )
    return gone


def _find(store: Store, doomed: RowPredicate) -> dict[str, Matches]:
    return {name: find_rows(table, doomed) for name, table in store.tables.items()}


def paths_below(whole: Iterable[str], images: str) -> frozenset[str]:
    """Returns locations as paths relative to the images root, as in the tables."""
    return frozenset(location.removeprefix(f"{images}/") for location in whole)


def _places(found: Mapping[str, Matches], images: str) -> frozenset[str]:
    return frozenset(f"{images}/{path}" for one in found.values() for path in one.paths)


def _image_ids(found: Iterable[Matches]) -> frozenset[str]:
    return frozenset().union(*(one.image_ids for one in found))


def _look_at(paths: Sequence[str], request: Request, image_ids: Collection[str]) -> list[Source]:
    return for_each(lambda path: _source(path, path in request.paths, image_ids), paths)


def _source(path: str, asked: bool, image_ids: Collection[str]) -> Source:
    _check_file(path)
    try:
        image_id = locations.sha256_of(path)
    except OSError as error:
        raise FruitsError(f"{path} cannot be read ({error.strerror or error}). Check its permissions.") from error
    replaced = not asked and image_id is not None and image_id not in image_ids
    return Source(path, image_id, replaced, locations.count_versions(path, only_former=replaced))


def _check_file(path: str) -> None:
    if locations.is_remote(path):
        return
    kind = locations.file_type(path)
    if kind == fs.FileType.Unknown:
        raise FruitsError(f"{path} is a pipe or a device, and only files are erased. Delete it, then erase it again.")
    if kind == fs.FileType.Directory:
        raise FruitsError(f"{path} is a folder. Give its photos, one by one or in a list.")
    if Path(path).is_symlink() and Path(path).exists():
        raise FruitsError(
            f"{path} is a link to {Path(path).resolve()}, and only files of the images folder are erased. Delete what "
            "it leads to, then erase it again."
        )
