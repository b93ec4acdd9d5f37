"""Which approximate index of faiss suits photos in memory: recall, time, memory and building, beside a full search."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness.large_stores import make_large_store
from spark_steps.queries.comparable import comparable
from spark_steps.queries.photo_index import PhotoIndex, load_index
from spark_steps.store.store import Store

_SAMPLE = 200
_NEIGHBOURS = 10
# So many more are proposed than wanted, as ``queries/approximate.py`` has it.
_PROPOSED = 4 * (_NEIGHBOURS + 1)


def kinds_of(rows: int) -> Mapping[str, tuple[str, list[int]]]:
    """Returns the kinds to measure: the factory's text, and the widths of the search."""
    lists = round(2 * rows**0.5)
    return {
        "inverted lists, float32": (f"IVF{lists},Flat", [4, 8, 16, 32, 64]),
        "inverted lists, 8 bits": (f"IVF{lists},SQ8", [4, 8, 16, 32, 64]),
        "graph (HNSW), float32": ("HNSW32,Flat", [32, 64, 128]),
        "graph (HNSW), 8 bits": ("HNSW32,SQ8", [32, 64, 128]),
    }


def exact(photos: PhotoIndex, sample: np.ndarray) -> tuple[list[list[str]], float]:
    """Returns the paths of the neighbours of each photo of a sample, and the milliseconds of a search."""
    start = time.perf_counter()
    found = [photos.near(photos.numbers[row], _NEIGHBOURS + 1) for row in sample]
    took = time.perf_counter() - start
    return [[one.path for one in near.neighbours[1:]] for near in found], took * 1000 / len(sample)


def measured(name: str, kind: str, widths: list[int], photos: PhotoIndex, sample: np.ndarray) -> Iterator[str]:
    """Builds an index and yields a line for each width of the search."""
    import faiss

    wanted = [{int(row) for row in _rows_of(photos, photos.numbers[one])} for one in sample]
    nearest = [int(_rows_of(photos, photos.numbers[one])[0]) for one in sample]
    start = time.perf_counter()
    index: Any = faiss.index_factory(photos.numbers.shape[1], kind, faiss.METRIC_L2)
    if not index.is_trained:
        chosen = np.random.default_rng(0).permutation(len(photos.numbers))[: 40 * round(2 * len(photos.numbers) ** 0.5)]
        index.train(photos.numbers[np.sort(chosen)])
    index.add(photos.numbers)
    built = time.perf_counter() - start
    size = len(faiss.serialize_index(index)) / 1e6
    faiss.omp_set_num_threads(1)
    for width in widths:
        faiss.ParameterSpace().set_index_parameter(index, "nprobe" if "IVF" in kind else "efSearch", width)
        start = time.perf_counter()
        found = [index.search(photos.numbers[row][np.newaxis], _PROPOSED)[1][0] for row in sample]
        took = (time.perf_counter() - start) * 1000 / len(sample)
        first = np.mean([one in some for one, some in zip(nearest, found, strict=True)])
        ten = np.mean([len(some & set(got.tolist())) / len(some) for some, got in zip(wanted, found, strict=True)])
        yield f"| {name} | {width} | {first:.3f} | {ten:.3f} | {took:.2f} ms | {size:.0f} MB | {built:.0f} s |"


def _rows_of(photos: PhotoIndex, query: np.ndarray) -> np.ndarray:
    distances = np.einsum("ij,ij->i", photos.numbers - query, photos.numbers - query)
    nearest = np.argpartition(distances, _NEIGHBOURS + 1)[: _NEIGHBOURS + 1]
    ordered: np.ndarray = nearest[np.argsort(distances[nearest])][1:]
    return ordered


@click.command()
@click.option("--store", required=True, help="A store of fruits run, of which the large one is made.")
@click.option("--scratch", required=True, type=click.Path(path_type=Path), help="Where the large store goes.")
@click.option("--photos", "rows", default=1_000_000, show_default=True, help="Photos of the large store.")
@click.option("--threads", default=2, show_default=True, help="Threads that build an index.")
def main(store: str, scratch: Path, rows: int, threads: int) -> None:
    """Measure indexes of the photos in memory."""
    import faiss

    large = Store(make_large_store(store, rows, scratch))
    photos = load_index(comparable(large, large.existing_pca_model()))
    sample = np.sort(np.random.default_rng(1).permutation(rows)[:_SAMPLE])
    with threadpool_limits(1):
        _, took = exact(photos, sample)
    size = photos.numbers.nbytes / 1e6
    click.echo("| index | width | recall of the nearest | of ten | a search | memory besides | building |")
    click.echo("|---|---|---|---|---|---|---|")
    click.echo(f"| none: all photos, {size:.0f} MB | | 1 | 1 | {took:.2f} ms | 0 MB | 0 s |")
    for name, (kind, widths) in kinds_of(rows).items():
        faiss.omp_set_num_threads(threads)
        for line in measured(name, kind, widths, photos, sample):
            click.echo(line)


if __name__ == "__main__":
    main()
