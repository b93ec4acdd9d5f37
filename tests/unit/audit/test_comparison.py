"""Photos compared in cells: no near-duplicates are missed, and the nearest are those of all pairs."""

import numpy as np
import pytest

from spark_steps.audit.cells import CellLimits, Cells, Features, _k_means, train
from spark_steps.audit.comparison import NEAREST, OTHER_LABEL, OUTSIDE, PAIR, Cell, Pairs, Part, best_pairs

COSINE = 0.95
UNLIMITED = CellLimits(visits=1000)


def unit_vectors(rows: int, seed: int = 0, spread: float = 0.05, columns: int = 20) -> Features:
    """Vectors around a few directions, some nearly the same and some far apart."""
    random = np.random.default_rng(seed)
    directions = random.random((8, columns))
    values = directions[random.integers(8, size=rows)] + random.normal(scale=spread, size=(rows, columns))
    unit: Features = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return unit


def cell_of(photos: Features) -> Cell:
    numbers = np.arange(len(photos), dtype=np.int32)
    cell = Cell.of_parts([Part(numbers, np.ones(len(photos), np.bool_), photos)])
    assert cell is not None
    return cell


def roots_of(photos: int, links: list[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """The least photo that each photo is linked with, by steps of any number."""
    root = list(range(photos))

    def find(one: int) -> int:
        while root[one] != one:
            one = root[one]
        return one

    for members, ends in links:
        for one, other in zip(members.tolist(), ends.tolist(), strict=True):
            first, last = sorted((find(one), find(other)))
            root[last] = first
    return [find(one) for one in range(photos)]


@pytest.mark.parametrize("cells", [12, 40])
def test_any_two_near_duplicates_meet_in_the_home_of_one_of_them(cells: int) -> None:
    photos = unit_vectors(600, spread=0.12)
    places = train(photos, cells, seed=1, limits=UNLIMITED).places(photos, COSINE)
    home = np.full(len(photos), -1)
    home[places.rows[places.home]] = places.cells[places.home]
    assert (home >= 0).all()
    assert len(np.unique(home)) > 1
    met = {(int(row), int(cell)) for row, cell in zip(places.rows, places.cells, strict=True)}
    pairs = np.argwhere(np.triu(photos @ photos.T >= COSINE, 1)).tolist()
    apart = [pair for pair in pairs if home[pair[0]] != home[pair[1]]]
    assert len(apart) > 10
    assert all((one, home[other]) in met or (other, home[one]) in met for one, other in apart)


def test_a_photo_visits_no_more_cells_than_it_may_and_no_fewer_than_it_has_to() -> None:
    photos, limits = unit_vectors(300, spread=0.3), CellLimits(visits=4, least_visits=2)
    places = train(photos, 20, seed=0, limits=limits).places(photos, COSINE)
    visits = np.bincount(places.rows) - 1
    assert visits.min() >= 2
    assert visits.max() == 4
    assert places.home.sum() == len(photos)


def test_cells_of_equal_centroids_lose_no_photo() -> None:
    photos = unit_vectors(50)
    cells = Cells.around(np.repeat(photos[:1], 3, axis=0), UNLIMITED)
    places = cells.places(photos, COSINE)
    assert np.bincount(places.rows).tolist() == [3] * 50
    assert np.bincount(places.cells[places.home]).tolist() == [50]


def test_the_same_sample_and_seed_give_the_same_cells() -> None:
    sample = unit_vectors(500)
    one, other = (train(sample, 6, seed=3, limits=UNLIMITED).centroids for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_cells_that_k_means_leaves_large_are_split() -> None:
    random = np.random.default_rng(0)
    directions = np.repeat(random.normal(size=(60, 64)), 20, axis=0)
    photos = directions + random.normal(scale=0.01, size=directions.shape)
    sample = (photos / np.linalg.norm(photos, axis=1, keepdims=True)).astype(np.float32)
    alone = Cells.around(_k_means(sample, 12, seed=0), UNLIMITED)
    largest = [largest_home(cells, sample) for cells in (alone, train(sample, 12, seed=0, limits=UNLIMITED))]
    assert largest[0] > 2 * len(sample) / 12 >= largest[1]


def test_photos_that_are_all_alike_are_one_cell_that_is_not_split_for_ever() -> None:
    photos = np.repeat(unit_vectors(1), 300, axis=0)
    cells = train(photos, 6, seed=0, limits=UNLIMITED)
    assert largest_home(cells, photos) == 300
    assert cells.count <= 6


def largest_home(cells: Cells, photos: Features) -> int:
    places = cells.places(photos, COSINE)
    return int(np.bincount(places.cells[places.home]).max())


def test_links_join_exactly_the_photos_that_all_pairs_join() -> None:
    photos = unit_vectors(500)
    pairs = np.argwhere(photos @ photos.T >= COSINE)
    expected = roots_of(500, [(pairs[:, 0], pairs[:, 1])])
    links = cell_of(photos).links(COSINE)
    assert 1 < len(set(expected)) < 500
    assert roots_of(500, [links]) == expected
    assert len(links[0]) == 500 - len(set(expected))


def test_a_thousand_photos_of_one_thing_have_fewer_links_than_photos() -> None:
    photos = np.repeat(unit_vectors(1), 1000, axis=0)
    members, roots = cell_of(photos).links(COSINE)
    assert len(members) == 999
    assert set(roots.tolist()) == {0}


def found_by_all_pairs(photos: Features, labels: np.ndarray, groups: np.ndarray, count: int) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    cosines = (photos.astype(np.float64) @ photos.T.astype(np.float64)).round(5)
    np.fill_diagonal(cosines, -np.inf)
    for row in range(len(photos)):
        for purpose, allowed, most in (
            (NEAREST, np.ones(len(photos), bool), 1),
            (OUTSIDE, groups != groups[row], count),
            (OTHER_LABEL, labels != labels[row], 1),
        ):
            candidates = np.flatnonzero(allowed & (np.arange(len(photos)) != row))
            order = candidates[np.argsort(-cosines[row, candidates], kind="stable")][:most]
            found |= {(row, purpose, int(other)) for other in order}
    return found


def as_set(pairs: Pairs) -> set[tuple[int, ...]]:
    return {(int(one["photo"]), int(one["purpose"]), int(one["other"])) for one in pairs}


def test_neighbours_of_one_cell_are_those_of_all_pairs() -> None:
    photos = unit_vectors(400, spread=0.2)
    random = np.random.default_rng(5)
    labels, groups = random.integers(4, size=400).astype(np.int32), random.integers(90, size=400).astype(np.int32)
    pairs = best_pairs(np.concatenate(list(cell_of(photos).neighbours(labels, groups, 10))), 10)
    assert as_set(pairs) == found_by_all_pairs(photos, labels, groups, 10)


def test_a_visitor_and_its_neighbours_at_home_find_each_other_and_visitors_do_not() -> None:
    photos = unit_vectors(3)
    cell = Cell.of_parts([Part(np.array([7, 3, 9], np.int32), np.array([False, True, False]), photos)])
    assert cell is not None
    assert (cell.numbers.tolist(), cell.at_home) == ([3, 7, 9], 1)
    labels = groups = np.arange(10, dtype=np.int32)
    pairs = best_pairs(np.concatenate(list(cell.neighbours(labels, groups, 5))), 5)
    assert {(one, other) for one, purpose, other in as_set(pairs) if purpose == OUTSIDE} == {
        (3, 7),
        (3, 9),
        (7, 3),
        (9, 3),
    }


def test_a_photo_that_is_alone_has_no_neighbour() -> None:
    labels = groups = np.zeros(1, np.int32)
    assert sum(len(pairs) for pairs in cell_of(unit_vectors(1)).neighbours(labels, groups, 10)) == 0
    assert Cell.of_parts([]) is None


def test_pairs_found_in_several_cells_count_once_and_the_nearest_stay() -> None:
    pairs = np.array(
        [
            (1, OUTSIDE, 5, 0.5),
            (1, OUTSIDE, 6, 0.9),
            (1, OUTSIDE, 5, 0.50000006),
            (1, OUTSIDE, 8, 0.7),
            (0, NEAREST, 4, 0.1),
            (0, NEAREST, 3, 0.2),
        ],
        PAIR,
    )
    best = best_pairs(pairs, 2)
    assert [tuple(one)[:3] for one in best.tolist()] == [(0, NEAREST, 3), (1, OUTSIDE, 6), (1, OUTSIDE, 8)]
