"""Stores that a first run has filled, as a user's next run finds them: each time the same."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.harness.photos import link_folders
from benchmarks.studies.store_files import TABLES, is_data, table_files
from spark_steps.errors import FruitsError


@dataclass(frozen=True)
class UsedStore:
    """A store with its photos and its Dagster home, at a fixed place: the home's records name the store.

    Attributes:
        directory: Where they lie.
    """

    directory: Path

    @property
    def images(self) -> Path:
        """The images root."""
        return self.directory / "photos"

    @property
    def store(self) -> Path:
        """The store."""
        return self.directory / "store"

    @property
    def home(self) -> Path:
        """The Dagster home of the store."""
        return self.directory / "dagster"

    @property
    def filled(self) -> Path:
        """The store as the first run has left it, which no other run changes."""
        return self._before(self.store)

    def make(self, originals: Path, folders: Sequence[int], run: Callable[["UsedStore"], None]) -> None:
        """Links photos and fills the store, where that has not been done.

        Args:
            originals: Photos that are linked to.
            folders: Photos of each folder.
            run: Runs the whole pipeline.
        """
        if (self.directory / "whole").exists():
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        link_folders(originals, self.images, folders)
        run(self)
        for kept in (self.store, self.home):
            shutil.copytree(kept, self._before(kept))
        (self.directory / "whole").touch()

    def restore(self, originals: Path, photos: int, added: int) -> None:
        """Makes all as it was after the first run, and then adds photos to the first folder.

        Args:
            originals: Photos that are linked to.
            photos: Photos of the first folder before.
            added: How many are added.
        """
        for kept in (self.store, self.home):
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self._before(kept), kept)
        first = min(self.images.iterdir())
        for photo in sorted(first.iterdir())[photos:]:
            photo.unlink()
        link_folders(originals, self.images, [added], first=photos)

    def rows_written(self) -> dict[str, int]:
        """Returns the rows of the files that each table has got since the first run."""
        return rows_written(self.store, self.filled)

    def _before(self, kept: Path) -> Path:
        return self.directory / "before" / kept.name


def rows_written(store: Path, before: Path) -> dict[str, int]:
    """Returns the rows of the files that each table of a store has got; no table writes a file anew."""
    new = {table: set(table_files(store, table)) - set(table_files(before, table)) for table in TABLES}
    return {
        table: sum(pq.read_metadata(store / file).num_rows for file in files if is_data(file))
        for table, files in new.items()
    }


def check_photos(name: str, store: Path, photos: int) -> None:
    """Raises a FruitsError unless all tables of a run have so many photos: no time of it would count."""
    from spark_steps.store.store import Store

    tables = Store(str(store)).tables
    found = {table: sum(file.rows for file in tables[table].files()) for table in TABLES}
    if set(found.values()) != {photos}:
        raise FruitsError(f"{name} has left a store of {found} photos, not of {photos:,}. It has not done the work.")
