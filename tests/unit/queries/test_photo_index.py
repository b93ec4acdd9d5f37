"""The photos in memory: the nearest are those that a search of the files finds, and erased ones are never found."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.queries.approximate import ApproximateIndex
from spark_steps.queries.comparable import Comparable, ComparableFile
from spark_steps.queries.neighbours import Near, find_neighbours
from spark_steps.queries.photo_index import PhotoIndex, load_index
from spark_steps.queries.recall import WANTED, Recall, recall_of, tune
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.reduced_store import COMPONENTS, model

Numbers = NDArray[np.floating]


def none_erased(_: Sequence[str]) -> Collection[str]:
    return ()


def file_of(root: Path, folder: str, numbers: Numbers) -> ComparableFile:
    table, label = Store(str(root)).reduced_features, folder.rpartition("/")[2]
    paths = [f"{folder}/{row:06d}.jpg" for row in range(len(numbers))]
    columns = {
        "image_id": [hashlib.sha256(path.encode()).hexdigest() for path in paths],
        "path": paths,
        "label": [label] * len(paths),
        "reduced": list(numbers.astype(np.float32)),
        "pca_model": ["0123456789abcdef"] * len(paths),
    }
    written = write_file(table.root, folder, pa.table(columns, REDUCED_SCHEMA).to_batches(500))
    return ComparableFile(table, written, model())


def random_files(root: Path, rows: int = 400) -> list[ComparableFile]:
    chance = np.random.default_rng(0)
    folders = ("Training/Lemon", "Plum", "Test/Lemon", "Fig")
    return [
        file_of(root, folder, chance.normal(centre, 1, (rows, COMPONENTS))) for centre, folder in enumerate(folders)
    ]


def index_of(files: Sequence[ComparableFile]) -> PhotoIndex:
    return load_index(Comparable(list(files), sum(file.file.rows for file in files), 0, []))


def queries(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(1.5, 2, (count, COMPONENTS)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 10, 5000])
def test_the_nearest_are_those_that_a_search_of_the_files_finds(tmp_path: Path, count: int) -> None:
    files = random_files(tmp_path)
    index = index_of(files)
    for query in queries(20):
        (expected,) = find_neighbours(files, query[np.newaxis], count)
        assert index.find(query, count, none_erased) == Near(expected.neighbours, list(expected.labels))


def test_photos_far_from_the_origin_and_close_to_each_other_are_told_apart(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    files = [file_of(tmp_path, folder, 1000 + chance.normal(0, 1e-3, (300, COMPONENTS))) for folder in ("A", "B")]
    index = index_of(files)
    for query in (1000 + chance.normal(0, 1e-3, (20, COMPONENTS))).astype(np.float32):
        (expected,) = find_neighbours(files, query[np.newaxis], 5)
        assert index.find(query, 5, none_erased) == Near(expected.neighbours, list(expected.labels))


def test_of_photos_that_are_equally_far_away_the_first_by_path_are_the_neighbours(tmp_path: Path) -> None:
    files = [file_of(tmp_path, folder, np.ones((50, COMPONENTS))) for folder in ("B", "A")]
    near = index_of(files).find(np.zeros(COMPONENTS, np.float32), 3, none_erased)
    assert [one.path for one in near.neighbours] == ["A/000000.jpg", "A/000001.jpg", "A/000002.jpg"]
    assert [one.label for one in near.labels] == ["A", "B"]
    assert near.verdict.label is None


def test_a_store_of_one_label_has_one_label(tmp_path: Path) -> None:
    near = index_of([file_of(tmp_path, "A", np.ones((5, COMPONENTS)))]).find(
        np.zeros(COMPONENTS, np.float32), 3, none_erased
    )
    assert [one.label for one in near.labels] == ["A"]
    assert near.verdict.threshold is None


def test_photos_whose_numbers_are_not_finite_are_near_nothing(tmp_path: Path) -> None:
    numbers = np.arange(40.0).reshape(10, COMPONENTS)
    numbers[3, 1], numbers[5, 0] = np.nan, np.inf
    index = index_of([file_of(tmp_path, "A", numbers)])
    near = index.find(np.zeros(COMPONENTS, np.float32), 10, none_erased)
    assert index.photos == len(near.neighbours) == 8


@pytest.mark.parametrize("approximate", [False, True])
def test_erased_photos_are_never_found_and_the_others_are_as_if_they_had_never_been(
    tmp_path: Path, approximate: bool
) -> None:
    files = random_files(tmp_path)
    index = index_of(files)
    if approximate:
        index.approximate = ApproximateIndex(index.numbers, 1)
        index.approximate.searched = index.approximate.lists
    query = queries(1)[0]
    (before,) = find_neighbours(files, query[np.newaxis], 200)
    gone = {one.image_id for one in before.neighbours[:150]}
    asked: list[int] = []

    def erased_among(image_ids: Sequence[str]) -> Collection[str]:
        asked.append(len(image_ids))
        return gone & set(image_ids)

    after = index.find(query, 10, erased_among)
    assert list(after.neighbours) == list(before.neighbours[150:160])
    assert index.photos == 1600 - 150
    # Wider each time: not one search for each photo.
    assert len(asked) <= 5
    assert gone.isdisjoint(one.image_id for one in (*after.neighbours, *after.labels))
    assert not any((index.numbers == row).all(axis=1).any() for row in rows_of(files, gone))


def rows_of(files: Sequence[ComparableFile], image_ids: Collection[str]) -> list[NDArray[np.float32]]:
    found = [(batch, rows) for file in files for batch, rows in file.batches()]
    ids = [(one, row) for batch, rows in found for one, row in zip(batch["image_id"].to_pylist(), rows, strict=True)]
    return [row for one, row in ids if one in image_ids]


def test_where_all_photos_were_erased_there_is_no_answer(tmp_path: Path) -> None:
    index = index_of([file_of(tmp_path, "A", np.ones((30, COMPONENTS)))])
    with pytest.raises(FruitsError, match="have been erased"):
        index.find(np.zeros(COMPONENTS, np.float32), 3, lambda image_ids: image_ids)


def test_a_label_whose_photos_were_erased_is_no_candidate(tmp_path: Path) -> None:
    files = random_files(tmp_path, 20)
    index = index_of(files)
    figs = {one.image_id for one in find_neighbours(files[3:], queries(1), 20)[0].neighbours}
    near = index.find(np.full(COMPONENTS, 3, np.float32), 80, lambda image_ids: figs & set(image_ids))
    assert {one.label for one in near.neighbours} == {"Lemon", "Plum"}
    assert {one.label for one in near.labels} == {"Lemon", "Plum"}


def test_an_approximate_index_is_searched_until_it_finds_nearly_all(tmp_path: Path) -> None:
    index = index_of(random_files(tmp_path, 2000))
    index.approximate = ApproximateIndex(index.numbers, 1)
    recall = tune(index)
    assert min(recall.nearest, recall.ten_nearest, recall.other_label) >= WANTED
    assert 1 < index.approximate.searched < index.approximate.lists


def test_recall_counts_what_was_overlooked(tmp_path: Path) -> None:
    index = index_of(random_files(tmp_path, 20))
    exact = [index.near(index.numbers[row], 11) for row in range(10)]
    assert recall_of(exact, exact) == Recall(1, 1, 1)
    overlooked = [Near([one.neighbours[0], *one.neighbours[2:]], one.labels[:1]) for one in exact]
    assert recall_of(exact, overlooked) == Recall(0, 0.9, 0)


def test_files_with_other_photos_than_they_say_are_refused(tmp_path: Path) -> None:
    files = random_files(tmp_path, 20)
    for photos in (79, 81):
        with pytest.raises(FruitsError, match="do not hold"):
            load_index(Comparable(files, photos, 0, []))
