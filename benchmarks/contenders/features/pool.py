"""A plain pool of processes: nothing but Python, LiteRT and Parquet, the least that there can be."""

from functools import partial
from multiprocessing import Pool

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.feature_files import FeatureFile
from benchmarks.harness.job import Job, read_job
from benchmarks.harness.network import (
    Decoding,
    in_parts,
    list_photos,
    network_of_process,
    photos_at_a_time,
    product_pixels,
)


def features_of(flatbuffer: str, decoding: Decoding, paths: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """Returns paths and features, in a process of the pool."""
    return paths, network_of_process(flatbuffer).features(paths, decoding)


def run(job: Job, decoding: Decoding = product_pixels) -> None:
    """Features of all photos to one Parquet file."""
    task = partial(features_of, job.flatbuffer, decoding)
    photos = list_photos(job.data)
    parts = in_parts(photos, photos_at_a_time(len(photos), job.cores))
    with Pool(job.cores) as pool, FeatureFile(job.output) as file:
        for paths, features in pool.imap_unordered(task, parts):
            file.write(paths, features)


if __name__ == "__main__":
    run(read_job())
