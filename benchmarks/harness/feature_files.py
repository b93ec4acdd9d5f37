"""Features as Parquet files, written by contenders that have no writer of their own, and read back from any of them."""

from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

_SCHEMA = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32()))])


class FeatureFile:
    """One Parquet file of paths and features."""

    def __init__(self, directory: str) -> None:
        # Numbers hardly repeat: a dictionary of them would only cost time, as in files of ours.
        self._writer = pq.ParquetWriter(Path(directory) / "features.parquet", _SCHEMA, use_dictionary=["path"])

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def write(self, paths: list[str], features: NDArray[np.float32]) -> None:
        """Adds photos; the features are of shape (N, 1280)."""
        self._writer.write_batch(pa.RecordBatch.from_arrays([pa.array(paths), as_lists(features)], schema=_SCHEMA))


def as_lists(features: NDArray[np.float32]) -> pa.ListArray:
    """Returns a matrix of shape (N, 1280) as a column of lists, without a loop over numbers."""
    rows, columns = features.shape
    offsets = np.arange(0, (rows + 1) * columns, columns, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, features.astype(np.float32, copy=False).ravel())


def read_features(directory: str) -> tuple[list[str], NDArray[np.float32]]:
    """Returns the paths and the features, of shape (N, 1280), of the Parquet files below a directory."""
    # Not the checkpoints of a table of ours.
    files = [str(file) for file in Path(directory).rglob("*.parquet") if file.parent.name != "_delta_log"]
    if not files:
        return [], np.empty((0, 0), np.float32)
    table = ds.dataset(files).to_table(columns=["path", "features"]).combine_chunks()
    numbers = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return [path.removeprefix("file:") for path in table["path"].to_pylist()], numbers.reshape(table.num_rows, -1)
