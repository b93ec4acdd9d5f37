"""Summaries of the folders of a table: a few numbers each, from one pass over the narrow columns.

Metadata, checks and reports all use these summaries, so each file is opened once and no names of photos stay in memory,
but for some rejected ones.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from spark_steps.photos.decoding import reasons
from spark_steps.storage import locations
from spark_steps.storage.parallel import for_each_unknown
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.footers import remember

REJECTED_SHOWN = 20
_ROWS_AT_A_TIME = 65_536
_MOST_KNOWN = 100_000


@dataclass(frozen=True)
class Photos:
    """A multiset of photos, represented by count and digest: equal for equal multisets, in any order.

    Attributes:
        count: Number of photos.
        digest: Sum modulo 2^64 of a hash of their paths.
    """

    count: int = 0
    digest: int = 0

    def __add__(self, other: "Photos") -> "Photos":
        return Photos(self.count + other.count, (self.digest + other.digest) % (1 << 64))

    @classmethod
    def at(cls, paths: pa.Array) -> "Photos":
        """Returns the photos with the given paths."""
        hashes = (hashlib.blake2b(path.encode(), digest_size=8).digest() for path in paths.to_pylist())
        return cls(len(paths), sum(int.from_bytes(one, "big") for one in hashes) % (1 << 64))


@dataclass(frozen=True)
class Summary:
    """The contents of files of a table.

    Attributes:
        files: Number of files.
        table_bytes: Size of the files.
        photos: The photos that have rows in them.
        usable: The photos without an error; all of them if the table has no column ``error``.
        photo_bytes: Bytes of the photos; 0 if the table has no column ``length``.
        reasons: Number of photos with an error, by reason: the part of the error before the colon.
        rejected: (path, error) of the first photos with an error, by path.
        models: Values of the table's column ``model`` or ``pca_model``.
    """

    files: int = 0
    table_bytes: int = 0
    photos: Photos = Photos()
    usable: Photos = Photos()
    photo_bytes: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[tuple[str, str], ...] = ()
    models: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """Number of rows in all files."""
        return self.photos.count

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.files + other.files,
            self.table_bytes + other.table_bytes,
            self.photos + other.photos,
            self.usable + other.usable,
            self.photo_bytes + other.photo_bytes,
            Counter(self.reasons) + Counter(other.reasons),
            tuple(sorted(self.rejected + other.rejected)[:REJECTED_SHOWN]),
            self.models | other.models,
        )


def summarise(table: FolderTable, folders: Iterable[str] | None = None) -> dict[str, Summary]:
    """Returns the summary of each given folder, or of all folders. A given folder without rows has an empty summary.

    Summaries are cached by file name, so a process opens each file once; a write gives its files new names.

    Args:
        table: The table.
        folders: The folders; None for all.
    """
    named = None if folders is None else list(folders)
    return table.while_unchanged(lambda: _summarise(table, named))


def _summarise(table: FolderTable, named: list[str] | None) -> dict[str, Summary]:
    summaries = {folder: Summary() for folder in named or ()}
    files = table.files(named)
    for file, summary in zip(files, of_files(table, files), strict=True):
        summaries[file.folder] = summaries.get(file.folder, Summary()) + summary
    return summaries


def of_files(table: FolderTable, files: Sequence[DataFile]) -> list[Summary]:
    """Returns the summary of each file, several read at a time; files whose summary is cached are not opened."""
    with locations.translate_errors(table.root):
        return for_each_unknown(
            _KNOWN, _MOST_KNOWN, lambda file: (table.root, file.path), lambda file: _of_file(table, file), files
        )


def rejected_photos(table: FolderTable) -> list[tuple[str, str]]:
    """Returns (path, error) of all photos of a table that have an error, sorted by path.

    Only files with more such photos than a summary holds are read again.
    """
    return table.while_unchanged(lambda: _rejected_photos(table))


def _rejected_photos(table: FolderTable) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    files = table.files()
    for file, summary in zip(files, of_files(table, files), strict=True):
        found += summary.rejected if sum(summary.reasons.values()) <= REJECTED_SHOWN else _rejected_of(table, file)
    return sorted(found)


def _rejected_of(table: FolderTable, file: DataFile) -> Iterator[tuple[str, str]]:
    with table.reading(file) as opened:
        for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=["path", "error"]):
            rows = batch.filter(batch["error"].is_valid())
            yield from zip(rows["path"].to_pylist(), rows["error"].to_pylist(), strict=True)


def total(summaries: Mapping[str, Summary]) -> Summary:
    """Returns the summary of all folders together."""
    return sum(summaries.values(), Summary())


# By table and file; names of files are never used again.
_KNOWN: dict[tuple[str, str], Summary] = {}


def _of_file(table: FolderTable, file: DataFile) -> Summary:
    names = [name for name in ("path", "length", "error", "model", "pca_model") if name in table.schema.names]
    summary = Summary(files=1, table_bytes=file.size)
    with table.reading(file) as opened:
        remember(table, file, opened)
        for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=names):
            summary += _of_rows(batch)
    return summary


def _of_rows(rows: pa.RecordBatch) -> Summary:
    names = rows.schema.names
    usable, rejected = rows, rows.slice(0, 0)
    if "error" in names:
        usable, rejected = rows.filter(rows["error"].is_null()), rows.filter(rows["error"].is_valid())
    model = next((name for name in ("model", "pca_model") if name in names), None)
    errors = (
        sorted(zip(rejected["path"].to_pylist(), rejected["error"].to_pylist(), strict=True)) if len(rejected) else []
    )
    return Summary(
        photos=Photos.at(rows["path"]),
        usable=Photos.at(usable["path"]),
        photo_bytes=pc.sum(rows["length"]).as_py() or 0 if "length" in names else 0,
        reasons=reasons(error for _, error in errors),
        rejected=tuple(errors[:REJECTED_SHOWN]),
        models=frozenset(rows[model].unique().to_pylist()) if model else frozenset(),
    )
