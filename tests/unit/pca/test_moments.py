"""Moments: merged exactly, in pieces of any size, and solved without Spark."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaSettings, solve
from spark_steps.pca.moments import Moments, RunningMoments, merge_in_pairs
from tests.support.features import features_like


def test_moments_merge_exactly_even_far_from_zero() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(301, 5)) * [1, 2, 3, 4, 1e-3] + 1e4
    parts = [Moments.of_rows(block) for block in np.array_split(rows, 7)]
    merged = merge_in_pairs([Moments.from_bytes(part.to_bytes(), 5) for part in parts])
    assert merged.count == 301
    np.testing.assert_allclose(merged.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(merged.cross_products / 301, np.cov(rows.T, bias=True), rtol=1e-9, atol=1e-9)


def test_rows_in_pieces_of_any_size_have_the_moments_of_all_of_them() -> None:
    rows = np.random.default_rng(4).normal(size=(10_000, 5)).astype(np.float32)
    ids = [f"{number:064x}" for number in range(len(rows))]
    running = RunningMoments()
    for piece in np.split(np.arange(len(rows)), [1, 2, 40, 4097, 4097, 9000]):
        running.add(rows[piece], [ids[number] for number in piece])
    whole, total = Moments.of_rows(rows, ids), running.total()
    assert (total.count, total.digest) == (whole.count, whole.digest)
    np.testing.assert_allclose(total.mean, whole.mean, atol=1e-15)
    np.testing.assert_allclose(total.cross_products, whole.cross_products, rtol=1e-12, atol=1e-9)


def test_features_that_are_not_finite_are_refused() -> None:
    features = features_like(30)
    features[3, 7] = np.nan
    with pytest.raises(FruitsError, match="NaN or infinite"):
        solve(Moments.of_rows(features), "n", PcaSettings(), ["A"])


def test_solving_needs_no_spark() -> None:
    model = solve(Moments.of_rows(features_like(30)), "n", PcaSettings(components=5), ["A"])
    assert model.components.shape == (29, 1280)
    np.testing.assert_allclose(model.components @ model.components.T, np.eye(29), atol=1e-9)


def test_a_model_is_the_same_to_the_last_bit_however_many_threads_numpy_may_use() -> None:
    moments = Moments.of_rows(features_like(400))
    models = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            models.append(solve(moments, "n", PcaSettings(), ["A"]))
    one, two = models
    np.testing.assert_array_equal(one.components, two.components)
    np.testing.assert_array_equal(one.explained_variance_ratio, two.explained_variance_ratio)
