"""What a PCA is asked for: kept with the store until somebody asks for something else."""

from pathlib import Path

import pytest

from spark_steps.pca import model_store
from spark_steps.pca.model import PcaSettings, settings_for_next, solve
from spark_steps.pca.moments import Moments
from tests.support.features import features_like

NUMBER, SHARE = PcaSettings(20), PcaSettings(variance=0.95)


@pytest.mark.parametrize(
    ("asked", "before", "wanted", "told"),
    [
        (None, None, PcaSettings(50), None),
        (None, PcaSettings(50), PcaSettings(50), None),
        (None, SHARE, SHARE, "The PCA keeps 95% of the variance, as this store was asked for before."),
        (None, NUMBER, NUMBER, "The PCA keeps 20 components, as this store was asked for before."),
        (SHARE, None, SHARE, None),
        (SHARE, SHARE, SHARE, None),
        (SHARE, NUMBER, SHARE, "The PCA keeps 95% of the variance instead of 20 components."),
        (NUMBER, SHARE, NUMBER, "The PCA keeps 20 components instead of 95% of the variance."),
    ],
)
def test_a_store_keeps_what_it_was_asked_for_until_somebody_asks_for_something_else(
    asked: PcaSettings | None, before: PcaSettings | None, wanted: PcaSettings, told: str | None
) -> None:
    assert settings_for_next(asked, before) == (wanted, told)


def test_a_share_of_the_variance_goes_before_a_number_of_components() -> None:
    assert PcaSettings.of(20, 0.95) == SHARE
    assert PcaSettings.of(20, None) == NUMBER
    assert PcaSettings.of(None, None) is None


@pytest.mark.parametrize("asked", [NUMBER, SHARE])
def test_what_a_model_was_asked_for_is_kept_with_it(asked: PcaSettings, tmp_path: Path) -> None:
    root = str(tmp_path)
    assert model_store.asked_before(root) is None
    model = solve(Moments.of_rows(features_like(30)), "n", asked, ["A"])
    model_store.save(model, root)
    # Though 30 photos have 29 components, and 95 % of the variance fewer.
    assert model_store.asked_before(root) == asked
