"""The part of each photo, train, validation or test, as the last audit of a store has split them."""

import sys
from dataclasses import dataclass

from spark_steps.errors import FruitsError
from spark_steps.store.staleness import named
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import FilesByFolder, files_by_folder, folder_totals, table_totals
from spark_steps.tables.totals import not_reduced

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The split of a store's photos, read folder after folder, so that memory does not grow with the store.

    Attributes:
        store: The store.
        table: Its table photo_splits.
        files: The table's files, of one version.
        audit: Version of the audit that has split the photos.
    """

    store: Store
    table: FolderTable
    files: FilesByFolder
    audit: str

    def of_folder(self, folder: str) -> dict[str, str]:
        """Returns the part of each photo of a folder, one of ``PARTS``, by the photo's path.

        Raises:
            FruitsError: The folder was split by another audit than other folders, so a photo and its near-duplicate may
                be in two parts; or a part has another name.
            TableChangedError: The files have been replaced since they were looked up.
        """
        found: dict[str, str] = {}
        for file in self.files.get(folder, ()):
            with self.table.reading(file) as opened:
                for batch in opened.iter_batches(columns=["path", "split", "audit"]):
                    if set(batch["audit"].unique().to_pylist()) - {self.audit}:
                        raise FruitsError(
                            f"The folders of {self.store.root} were split by two audits, so photos that are nearly the "
                            f"same may be in two parts. {_remedy(self.store)}"
                        )
                    if others := set(batch["split"].unique().to_pylist()) - set(PARTS):
                        raise FruitsError(
                            f"{self.table.root} has photos in {others.pop()!r}, which is none of {', '.join(PARTS)}. "
                            f"{_remedy(self.store)}"
                        )
                    # One object for each of the three names, not one for each photo.
                    parts = map(sys.intern, batch["split"].to_pylist())
                    found.update(zip(batch["path"].to_pylist(), parts, strict=True))
        return found


def splits_of(store: Store) -> Splits:
    """Finds the split of a store's photos; reads footers and one row.

    Args:
        store: The store, at any moment. At a former moment it is the split of that moment.

    Raises:
        FruitsError: There is no split, or it is of other photos than those that have features.
    """
    table = store.photo_splits
    return table.while_unchanged(lambda: _splits_of(store, table))


def _splits_of(store: Store, table: FolderTable) -> Splits:
    files = files_by_folder(table)
    first = next((file for of_folder in files.values() for file in of_folder), None)
    if first is None:
        when = f"At {store.as_of} the" if store.as_of else "The"
        raise FruitsError(f"{when} photos of {store.root} are in no split yet. {_remedy(store)}")
    if others := not_reduced(folder_totals(store.mobilenet_features), table_totals(table, files)):
        when = f"The split of {store.as_of}" if store.as_of else "The split of the last audit"
        raise FruitsError(
            f"{when} is not that of the photos of {store.root} that have features: photos in {named(sorted(others))} "
            f"have come, gone or changed since. {_remedy(store)}"
        )
    with table.reading(first) as opened:
        audit = opened.read_row_group(0, columns=["audit"])["audit"][0].as_py()
    return Splits(store, table, files, audit)


def _remedy(store: Store) -> str:
    return store.remedy if store.as_of else f"Audit it: fruits audit {store.option}"
