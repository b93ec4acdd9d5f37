"""Erases photos: their files, their rows, and the former versions of both in a bucket with versioning.

An interrupted erasure can be finished by any later process. The note ``Erasures/unfinished/<id>.json`` lists what to
delete and is written before anything is deleted. Every step may be repeated. The note is deleted last, with its object
versions, because it holds paths and image ids. While it exists, no run writes (``refuse_while_erasing``). What remains
names no photo: one tombstone for each photo, and a receipt.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from spark_steps.erasure.plan import IMAGE_ID, Plan, check_below, paths_below
from spark_steps.errors import FruitsError
from spark_steps.photos.tombstones import set_tombstones
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each
from spark_steps.store.store import Store
from spark_steps.tables.row_removal import RowPredicate, find_rows, remove_rows

Forget = Callable[[Collection[str]], int]
_FILES_A_STEP = 256


@dataclass(frozen=True)
class Erasure:
    """An erasure that has been decided: the contents of its note.

    Attributes:
        name: Name of its note and its receipt: the time of the decision, and a random suffix.
        image_ids: The photos.
        paths: The photos' present and former locations, below the images root.
        receipt: The contents of the receipt.
        given: The texts by which the photos were requested, to find records that contain these texts.
    """

    name: str
    image_ids: list[str]
    paths: list[str]
    receipt: dict[str, Any]
    given: list[str] = field(default_factory=list)

    def doomed(self, images: str) -> RowPredicate:
        """Returns the predicate of the rows to remove.

        Args:
            images: The images root, a normalised location.
        """
        return RowPredicate(frozenset(self.image_ids), paths_below(self.paths, images))


def refuse_while_erasing(store: Store) -> None:
    """Raises a FruitsError while an erasure is unfinished, so that no run restores what it deletes."""
    if names := _notes(store):
        raise FruitsError(
            f"An erasure of {store.root} is under way or was interrupted ({names[0]}). Wait for it; if its process is "
            "gone, finish it: fruits erase, or the job erase_photos, with no photo named."
        )


def finished(store: Store) -> frozenset[str]:
    """Returns the names of the receipts of finished erasures."""
    return frozenset(info.base_name for info in locations.list_files(store.erasures) if info.extension == "json")


def refuse_after_erasing(store: Store, before: Collection[str]) -> None:
    """Raises a FruitsError if photos are being erased, or have been erased since a run began.

    Args:
        store: The store.
        before: The erasures that were finished when the run began.
    """
    # Check for notes first: an erasure writes its receipt before it deletes its note.
    refuse_while_erasing(store)
    if finished(store) - set(before):
        raise FruitsError(
            f"Photos of {store.root} were erased while this run was under way, so it writes nothing. Run again."
        )


def unfinished(store: Store, images: str) -> list[Erasure]:
    """Returns the erasures that were interrupted. The caller must hold the lock.

    Args:
        store: The store.
        images: The images root, a normalised location.

    Raises:
        FruitsError: A note was not written by this platform.
    """
    for info in locations.list_files(_directory(store)):
        # Delete partially written notes: they hold paths.
        if info.extension == "partial":
            locations.delete_files(_directory(store), [info.base_name])
    return [_read_note(f"{_directory(store)}/{name}", images) for name in _notes(store)]


def _read_note(location: str, images: str) -> Erasure:
    try:
        erasure = Erasure(**locations.read_json(location))
    except (ValueError, TypeError) as error:
        raise _no_note(location, "it is not what one says") from error
    texts = [erasure.image_ids, erasure.paths, erasure.given]
    if not all(isinstance(some, list) and all(isinstance(text, str) for text in some) for some in texts):
        raise _no_note(location, "it has no lists of image ids and paths")
    if wrong := [image_id for image_id in erasure.image_ids if not IMAGE_ID.fullmatch(image_id)]:
        raise _no_note(location, f"{wrong[0]!r} is no image id")
    if location.rpartition("/")[2] != f"{erasure.name}.json":
        raise _no_note(location, f"it says that it is {erasure.name}")
    if not isinstance(erasure.receipt, dict) or "what_to_do" not in erasure.receipt:
        raise _no_note(location, "it has no receipt")
    check_below(erasure.paths, images, location)
    return erasure


def _no_note(location: str, because: str) -> FruitsError:
    return FruitsError(
        f"{location} is no note of this platform: {because}. Delete it, and erase again what you wanted to have erased."
    )


def decide(store: Store, plan: Plan, given: Iterable[str] = ()) -> Erasure:
    """Writes the note of an erasure. From then on no run writes, until the erasure is finished or withdrawn.

    Args:
        store: The store.
        plan: What to delete.
        given: The texts by which the photos were requested.
    """
    now = datetime.now(UTC)
    erasure = Erasure(
        name=f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        image_ids=sorted(plan.image_ids),
        paths=[source.path for source in plan.sources],
        receipt=receipt_of(plan, now),
        given=list(given),
    )
    locations.write_json(_note(store, erasure), asdict(erasure))
    return erasure


def receipt_of(plan: Plan, begun: datetime) -> dict[str, Any]:
    """Returns the contents of a receipt: counts and times, and nothing about any single photo."""
    return {
        "begun": begun.isoformat(timespec="seconds"),
        "photos": len(plan.image_ids),
        "files": len(plan.files),
        "files_and_versions": sum(source.versions for source in plan.sources),
        "folders": len(plan.folders),
        "rows": {name: found.rows for name, found in plan.rows.items()},
        "pca_models_that_saw_a_photo": [asdict(one) for one in plan.models],
        "what_to_do": what_to_do(plan),
    }


def what_to_do(plan: Plan) -> str:
    """Returns what remains to be done after an erasure, as a sentence."""
    if not plan.models:
        return "Nothing: no PCA model saw a photo of them."
    return (
        "Fit the PCA again, and reduce all folders (fruits run, or the jobs fit_pca and reduce_folders); then delete "
        "the directories of these versions below PCA_Results/pca_model."
    )


def withdraw(store: Store, erasure: Erasure) -> None:
    """Withdraws an erasure that has not deleted anything yet."""
    locations.delete_for_good(_note(store, erasure))


def carry_out(store: Store, erasure: Erasure, images: str, forget: Forget) -> Iterator[str]:
    """Carries out an erasure, or its remaining steps, and yields a message after each step.

    Args:
        store: The store.
        erasure: The erasure.
        images: The images root, a normalised location.
        forget: Deletes other records that contain one of the given paths and image ids; returns how many.

    Raises:
        FruitsError: A file cannot be deleted, or another run has written rows of the photos in the meantime.
    """
    # Set the tombstones first: with them a run on another machine that missed the note makes no features of the photos.
    set_tombstones(store.tombstones, erasure.image_ids)
    yield f"{len(erasure.image_ids):,} tombstones are set"
    image_ids = frozenset(erasure.image_ids)
    for start in range(0, len(erasure.paths), _FILES_A_STEP):
        part = erasure.paths[start : start + _FILES_A_STEP]
        for_each(lambda path: erase_file(path, image_ids), part)
        yield f"{start + len(part):,} of {len(erasure.paths):,} files are gone"
    for name, table in store.tables.items():
        remove_rows(table, erasure.doomed(images))
        yield f"{name} has no rows of them"
    for name, table in store.tables.items():
        locations.delete_former_versions(table.root)
        yield f"{name} has no former versions"
    records = forget([*erasure.paths, *erasure.image_ids])
    yield f"{records:,} records of Dagster named them"
    _check_gone(store, erasure.doomed(images))
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    locations.write_json(receipt_place(store, erasure), {"erasure": erasure.name, **erasure.receipt, "finished": ended})
    yield f"the receipt is written: {receipt_place(store, erasure)}"
    locations.delete_for_good(_note(store, erasure))


def receipt_place(store: Store, erasure: Erasure) -> str:
    """Returns the location of the receipt of an erasure."""
    return f"{store.erasures}/{erasure.name}.json"


def erase_file(path: str, image_ids: Collection[str]) -> None:
    """Deletes a file, in S3 with all its versions and delete markers; a missing file is not an error.

    If another photo has replaced the file, that photo stays and only its former versions are deleted. This also holds
    for a photo that replaces it during the call, with one exception. On the local disk, and in a bucket without
    versioning, a photo written between the last check and the deletion, which follows at once, is deleted.

    Args:
        path: A normalised location.
        image_ids: The erased photos.

    Raises:
        FruitsError: The file cannot be deleted.
    """
    try:
        locations.delete_if(path, lambda sha256: _goes(sha256, image_ids))
    except NotADirectoryError:
        return
    except OSError as error:
        raise FruitsError(
            f"{path} cannot be deleted ({error.strerror or error}). Check the permissions of its folder, and erase "
            "again (fruits erase, or the job erase_photos): it goes on from here."
        ) from error


def _goes(sha256: str | None, image_ids: Collection[str]) -> bool:
    # An empty or missing file is not another photo.
    return sha256 is None or sha256 in image_ids


def _check_gone(store: Store, doomed: RowPredicate) -> None:
    for name, table in store.tables.items():
        found = find_rows(table, doomed)
        if found.rows or found.former:
            raise FruitsError(
                f"Rows of erased photos have come back to {name}: a run on another machine has written them. Wait "
                "until it has ended, and erase again (fruits erase, or the job erase_photos): it goes on from here."
            )


def _directory(store: Store) -> str:
    return f"{store.erasures}/unfinished"


def _note(store: Store, erasure: Erasure) -> str:
    return f"{_directory(store)}/{erasure.name}.json"


def _notes(store: Store) -> list[str]:
    return sorted(info.base_name for info in locations.list_files(_directory(store)) if info.extension == "json")
