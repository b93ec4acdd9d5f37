"""pyarrow and numpy alone, in one process: the least that a PCA of Parquet files can take."""

import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.harness.job import COMPONENTS, read_job, tell

_COLUMNS = 1280
_ROWS_AT_A_TIME = 4096


def main() -> None:
    """Tells how long reading and fitting take."""
    job = read_job()
    start = time.perf_counter()
    count, shift = 0, None
    total, products = np.zeros(_COLUMNS), np.zeros((_COLUMNS, _COLUMNS))
    for file in sorted(Path(f"{job.data}/Results/mobilenet_features").glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(_ROWS_AT_A_TIME, columns=["features"]):
            numbers = batch["features"].flatten().to_numpy(zero_copy_only=False)
            rows = numbers.reshape(batch.num_rows, _COLUMNS).astype(np.float64)
            # Centred on the first batch, so that the difference of large sums keeps its digits.
            shift = rows.mean(axis=0) if shift is None else shift
            rows -= shift
            count += len(rows)
            total += rows.sum(axis=0)
            products += rows.T @ rows
    covariance = products / count - np.outer(total, total) / count**2
    scale = np.sqrt(np.diag(covariance))
    values, _ = np.linalg.eigh(covariance / np.outer(scale, scale))
    explained = (values[::-1] / values.sum())[:COMPONENTS]
    tell(fit_seconds=time.perf_counter() - start, explained=explained.tolist())


if __name__ == "__main__":
    main()
