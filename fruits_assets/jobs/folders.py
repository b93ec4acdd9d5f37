"""The folders of photos that a run of the pipeline finds and works on, without Dagster."""

from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

from fruits_assets.aws.residency import check_residency
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.features.weights import check_source
from spark_steps.photos.listing import ImageFolders, list_image_folders
from spark_steps.photos.names import PHOTO_EXTENSIONS
from spark_steps.store.store import Store

Report = Callable[[str], None]


def check_before_work(settings: Settings) -> None:
    """Checks what needs no listing: else a wrong setting would fail only after the listing of a million photos.

    Raises:
        FruitsError: Photos are outside the region or are being erased, or the weights do not exist.
    """
    check_residency(settings)
    refuse_while_erasing(Store(settings.store))
    if settings.weights is not None:
        check_source(settings.weights, settings.scaling)


def find_folders(images: str, patterns: Sequence[str]) -> ImageFolders:
    """Lists the folders below an images root.

    Args:
        images: The images root, a normalised location.
        patterns: Shell patterns of the folders that are needed.

    Raises:
        FruitsError: No folder has a photo, or one that is needed cannot be listed.
    """
    found = list_image_folders(images, patterns)
    if not found.photos:
        at_root = f" {found.root_photos} lie at the root itself: move them into a folder." if found.root_photos else ""
        raise FruitsError(
            f"There is no photo in a folder below {images}.{at_root} Photos are files ending in "
            f".{', .'.join(PHOTO_EXTENSIONS)}, in folders named by their label.{found.passed_over.after_no_photo}"
        )
    return found


def report_folders(found: ImageFolders, images: str, report: Report) -> None:
    """Reports how many photos and folders were found, and each kind of file that is not processed.

    Args:
        found: The folders.
        images: The images root.
        report: Takes the messages, a line at a time.
    """
    report(f"{sum(found.photos.values()):,} photos in {len(found.photos):,} folders of {images}")
    if found.root_photos:
        report(f"  warning: {found.root_photos} photos lie at the root, belong to no folder, and are not processed")
    for sentence in found.passed_over.sentences(found.contents):
        report(f"  {sentence}")
    for folder, why in found.unreadable.items():
        report(f"  warning: folder {folder!r} cannot be listed ({why}), and what the store has of it stays")


def matching_folders(
    found: ImageFolders, images: str, patterns: Sequence[str], refused: Collection[str], report: Report
) -> list[str]:
    """Returns the folders to featurise: those that match at least one pattern.

    Args:
        found: The folders.
        images: The images root.
        patterns: Shell patterns.
        refused: Folders that cannot be partitions.
        report: Takes a warning for each pattern that matches nothing.

    Raises:
        FruitsError: No folder matches.
    """
    matches = {pattern: [folder for folder in found.photos if fnmatchcase(folder, pattern)] for pattern in patterns}
    matching = {folder for folders in matches.values() for folder in folders}
    wanted = [folder for folder in found.photos if folder in matching and folder not in refused]
    if not wanted:
        some = ", ".join(repr(folder) for folder in list(found.photos)[:5])
        raise FruitsError(
            f"None of the {len(found.photos)} folders below {images} matches "
            f"{' or '.join(map(repr, patterns))}. There are {some}..."
        )
    for pattern in (pattern for pattern, folders in matches.items() if not folders):
        report(f"  warning: no folder matches {pattern!r}")
    return wanted
