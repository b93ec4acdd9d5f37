"""Where processes meet, and what each of them has."""

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spark_steps.storage import s3_address
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable, TableChange
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA
from tests.chaos.replay import NAME


@dataclass(frozen=True)
class Race:
    """Where processes meet.

    Attributes:
        store: The store.
        directory: Of this machine, for what they note.
        seed: Of their lots.
        environment: Variables that they need.
    """

    store: str
    directory: Path
    seed: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def images(self) -> str:
        """An images root without photos: only rows are looked at."""
        return f"{self.directory}/images"

    @property
    def slowness(self) -> float:
        """How much longer everything takes than on files."""
        return 5.0 if s3_address.is_s3(self.store) else 1.0

    @property
    def is_over(self) -> bool:
        """Whether processes are to end."""
        return (self.directory / "over").exists()


class Taker:
    """What a process of a race has: notes, lots and the store.

    Args:
        race: The race.
        name: Of the process; no other has it.
    """

    def __init__(self, race: Race, name: str) -> None:
        self.race, self.name = race, name
        self.randomly = random.Random(f"{race.seed} {name}")  # noqa: S311
        self.store = Store(race.store)
        self._notes = os.open(race.directory / f"{name}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, note: str, *values: object) -> None:
        """Notes something, in one piece."""
        line = {"note": note, **{str(number): value for number, value in enumerate(values)}}
        os.write(self._notes, (json.dumps(line) + "\n").encode())

    def rest(self, seconds: float) -> None:
        """Waits for so long, or until the race is over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.race.is_over:
            time.sleep(min(left, 0.1))

    def named(self, name: str) -> "NamedStore":
        """Returns the store, whose commits then have a name."""
        return NamedStore(self.race.store, name=name)


@dataclass(frozen=True)
class NamedTable(FolderTable):
    """A table that writes a name into its commits."""

    name: str = ""

    def commit(
        self,
        added: Sequence[DataFile],
        change: TableChange,
        about: Mapping[str, str] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> int:
        return super().commit(added, change, {**(about or {}), NAME: self.name}, check)


@dataclass(frozen=True)
class NamedStore(Store):
    """A store that does."""

    name: str = ""

    @property
    def raw_images(self) -> NamedTable:
        return NamedTable(super().raw_images.root, RAW_IMAGES_SCHEMA, name=self.name)
