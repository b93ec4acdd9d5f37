"""Totals of a Parquet file's rows, kept in its footer, so that a table is summarised without reading its rows.

Parquet's own statistics have the minimum and maximum of a column, but no sums, and nothing for lists.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

# The number is that of the set of fields. A footer with another set of fields is ignored.
FOOTER_KEY = "fruits.totals.2"
_COLUMNS = ("image_id", "path", "length", "modification_time", "features", "model", "pca_model", "audit")
_ROWS_AT_A_TIME = 2048
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Totals:
    """Totals of rows, over the columns that the rows have.

    Attributes:
        rows: Number of rows.
        length: Sum of ``length``, bytes.
        newest: Greatest ``modification_time``, milliseconds since 1970.
        vectors: Rows with a vector in ``features``.
        sum: Sum of these vectors, of shape (features,); None if there is none, and empty if they are of networks that
            give other numbers of features.
        made_by: The values of ``model``, of ``pca_model`` and of ``audit``.
        photos: Digest of the usable photos: those with features, and all photos of tables without features. It is the
            sum of their image ids, as in ``Moments``; 0 for a table without image ids.
        paths: Digest of the paths of the usable photos: the sum modulo 2^256 of a hash of each path.
        max_pixels: The limits of ``DecodeLimits.max_pixels`` under which the photos were decoded. Rows do not have
            them: the writer of a file gives them. Files without them are of older releases, or of other tables.
    """

    rows: int = 0
    length: int = 0
    newest: int = 0
    vectors: int = 0
    sum: Vector | None = None
    made_by: frozenset[str] = field(default_factory=frozenset)
    photos: int = 0
    paths: int = 0
    max_pixels: frozenset[int] = field(default_factory=frozenset)

    def __add__(self, other: "Totals") -> "Totals":
        sums = [one.sum for one in (self, other) if one.sum is not None]
        return Totals(
            self.rows + other.rows,
            self.length + other.length,
            max(self.newest, other.newest),
            self.vectors + other.vectors,
            _together(sums),
            self.made_by | other.made_by,
            digest_of([self.photos, other.photos]),
            digest_of([self.paths, other.paths]),
            self.max_pixels | other.max_pixels,
        )

    @property
    def mean(self) -> Vector | None:
        """Mean of the vectors, None where there is none."""
        return None if self.sum is None or not self.sum.size else self.sum / self.vectors

    @classmethod
    def of_rows(cls, rows: pa.Table | pa.RecordBatch) -> "Totals":
        """Returns the totals of rows in memory."""
        names = set(rows.schema.names)
        vectors = rows["features"].drop_null() if "features" in names else []
        usable = rows["features"].is_valid() if "features" in names else None
        made_by = (rows[name].unique().to_pylist() for name in ("model", "pca_model", "audit") if name in names)
        return cls(
            rows=rows.num_rows,
            length=(pc.sum(rows["length"]).as_py() or 0) if "length" in names else 0,
            newest=_newest(rows["modification_time"]) if "modification_time" in names else 0,
            vectors=len(vectors),
            sum=_sum(vectors) if len(vectors) else None,
            made_by=frozenset(value for values in made_by for value in values),
            photos=digest_of(int(one, 16) for one in _texts(rows, "image_id", usable)),
            paths=digest_of(map(_number_of, _texts(rows, "path", usable))),
        )

    def to_footer(self) -> dict[str, str]:
        """Returns the totals as key-value metadata of a Parquet footer: 14 kB with 1280 features."""
        document: dict[str, Any] = {"length": self.length, "newest": self.newest, "vectors": self.vectors}
        if self.sum is not None:
            document["sum"] = base64.b64encode(self.sum.astype("<f8").tobytes()).decode()
        document |= {"made_by": sorted(self.made_by), "photos": f"{self.photos:x}", "paths": f"{self.paths:x}"}
        if self.max_pixels:
            document["max_pixels"] = sorted(self.max_pixels)
        return {FOOTER_KEY: json.dumps(document)}


def _newest(modified: pa.ChunkedArray | pa.Array) -> int:
    """Returns the greatest time in whole milliseconds, the precision of a listing."""
    newest = pc.max(modified.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())).as_py()
    return 0 if newest is None else max(0, newest // 1000)


def _texts(rows: pa.Table | pa.RecordBatch, name: str, of: pa.ChunkedArray | pa.Array | None) -> list[str]:
    if name not in rows.schema.names:
        return []
    texts: list[str] = (rows[name] if of is None else rows[name].filter(of)).drop_null().to_pylist()
    return texts


def _number_of(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=32).digest(), "big")


def _sum(vectors: pa.ChunkedArray | pa.ListArray) -> Vector | None:
    widths = pc.unique(pc.list_value_length(vectors))
    # The check of the features reports vectors of different lengths.
    if len(widths) != 1:
        return None
    numbers = pc.list_flatten(vectors).to_numpy()
    total: Vector = numbers.reshape(len(vectors), -1).sum(axis=0, dtype=np.float64)
    return total


def _together(sums: Sequence[Vector]) -> Vector | None:
    if len({len(one) for one in sums}) > 1:
        return np.empty(0)
    total: Vector | None = np.sum(sums, axis=0) if sums else None
    return total


def _columns(file: pq.ParquetFile) -> list[str]:
    return [name for name in file.schema_arrow.names if name in _COLUMNS]


def read_totals(opened: pq.ParquetFile) -> Totals:
    """Returns the totals of a Parquet file, from its footer or, if the footer has none, from its rows."""
    kept: Mapping[bytes, bytes] = opened.metadata.metadata or {}
    if (document := kept.get(FOOTER_KEY.encode())) is None:
        return sum_of(Totals.of_rows(rows) for rows in opened.iter_batches(_ROWS_AT_A_TIME, columns=_columns(opened)))
    values = json.loads(document)
    numbers = base64.b64decode(values["sum"]) if "sum" in values else None
    return Totals(
        rows=opened.metadata.num_rows,
        length=values["length"],
        newest=values["newest"],
        vectors=values["vectors"],
        sum=None if numbers is None else np.frombuffer(numbers, "<f8"),
        made_by=frozenset(values["made_by"]),
        photos=int(values["photos"], 16),
        paths=int(values["paths"], 16),
        max_pixels=frozenset(values.get("max_pixels", ())),
    )


def sum_of(totals: Iterable[Totals]) -> Totals:
    """Returns the totals of all rows together."""
    together = Totals()
    for one in totals:
        together += one
    return together


_DIGEST_MODULUS = 1 << 256


def digest_of(numbers: Iterable[int]) -> int:
    """Returns the digest of a set of photos from their image ids as numbers, or from the digests of its parts."""
    return sum(numbers) % _DIGEST_MODULUS


TotalsByFolder = Mapping[str, Totals]


def of_others(by_folder: TotalsByFolder, name: str | None) -> list[str]:
    """Returns the folders with rows that another network or PCA model than the given one has made, sorted."""
    return sorted(folder for folder, totals in by_folder.items() if totals.made_by - {name})


def folders_to_reduce(features: TotalsByFolder, reduced: TotalsByFolder, version: str) -> set[str]:
    """Returns the folders whose reduced features are stale or missing for their features and the current PCA model.

    Args:
        features: Totals of mobilenet_features.
        reduced: Totals of reduced_features.
        version: Version of the PCA model.
    """
    return not_reduced(features, reduced) | set(of_others(reduced, version))


def not_reduced(features: TotalsByFolder, reduced: TotalsByFolder) -> set[str]:
    """Returns the folders whose reduced features are of other photos than those that have features."""
    # Folders without any row of features are skipped: the store may be a copy of the reduced features alone.
    return {
        folder
        for folder, totals in features.items()
        if (totals.photos, totals.paths) != ((after := reduced.get(folder, Totals())).photos, after.paths)
    }
