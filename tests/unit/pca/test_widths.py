"""A PCA of features of any width, which are never mixed."""

import numpy as np
import pyarrow as pa
import pytest

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaSettings, feature_matrix, solve
from spark_steps.pca.moments import Moments, packed_bytes


def test_a_model_has_the_width_of_the_features_and_no_more_components() -> None:
    rows = np.random.default_rng(2).normal(size=(200, 24)).astype(np.float32)
    model = solve(Moments.of_rows(rows), "n", PcaSettings(components=50), ["A"])
    assert (model.k, model.components.shape, model.mean.shape) == (24, (24, 24), (24,))
    assert model.explained_at(350) == pytest.approx(1)
    assert model.project(rows).shape == (200, 24)


@pytest.mark.parametrize("width", [5, 24])
def test_moments_take_as_many_bytes_as_are_counted_on(width: int) -> None:
    moments = Moments.of_rows(np.random.default_rng(2).normal(size=(30, width)))
    assert len(moments.to_bytes()) == packed_bytes(width)


def test_features_of_another_width_than_the_networks_are_refused() -> None:
    lists = pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float32()))
    assert feature_matrix(lists, 3).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert feature_matrix(lists.slice(1), 3).tolist() == [[4, 5, 6]]
    with pytest.raises(FruitsError, match=r"have 3 features, and their network gives 4\. Make them again"):
        feature_matrix(lists, 4)
    with pytest.raises(FruitsError, match="have 2 features, and their network gives 3"):
        feature_matrix(pa.array([[1, 2, 3], [4, 5]], pa.list_(pa.float32())), 3)
