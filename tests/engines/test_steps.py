"""A step on each engine: what it leaves, and what is said of one that fails."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from fruits_assets.assets import raw_images
from fruits_assets.aws import sessions, workspace
from fruits_assets.instance.tags import BILLED_TAG
from fruits_assets.money.account import account_spend
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from tests.support.aws.emr_runs import failure_of, wait_until
from tests.support.aws.engines import OVER, Bench


def metadata_of(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Returns the metadata of the one materialization."""
    (record,) = instance.fetch_materializations(raw_images.key, limit=10).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_a_step_outlives_throttling_and_leaves_its_rows_its_cost_its_links_and_its_part_of_the_months_spend(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    # With more partitions than any command line holds.
    thousands = [f"folder {number:05}" for number in range(3_000)]
    engine.aws.throttle(engine.look, 4)
    result = engine.materialize(settings, instance, *thousands)
    assert result.success, failure_of(result)
    assert len(Store(settings.store).raw_images.arrow(["path"])) == 4
    metadata = metadata_of(instance)
    assert metadata["run_cost_eur"] > 0
    assert "EUR/h" in metadata["cost_computed_from"]
    assert metadata[engine.console].startswith(engine.console_at)
    assert metadata["log"].startswith(engine.log)
    spend = account_spend(settings, read_prices(settings), datetime.now(UTC))
    assert spend.total_eur > 0
    (run,) = instance.get_runs()
    if engine.deployment != "emr":
        assert [job.eur > 0 for job in spend.jobs if job.running is False][:1] == [True]
        assert float(run.tags[BILLED_TAG]) > 0
    wait_until(lambda: all(job["state"] in OVER for job in engine.jobs()))


def test_a_module_that_is_not_there_is_named(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import spark_steps

    monkeypatch.setattr("fruits_assets.engines.staging._PACKAGES", (spark_steps,))
    told = failure_of(engine.materialize(settings, instance))
    assert "an import failed" in told
    assert "fruits_assets is not there" in told


def test_a_creation_that_is_throttled_for_good_says_so(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_WAITS", (0.1, 0.1, 0))
    monkeypatch.setattr(sessions, "_ATTEMPTS", 2)
    monkeypatch.setattr(workspace, "_RETRY_SECONDS", 1)
    before = engine.created()
    engine.aws.throttle(engine.start, 1000)
    told = failure_of(engine.materialize(settings, instance))
    engine.aws.throttle(engine.start, 0)
    assert f"{engine.service} throttled every attempt to" in told
    assert engine.created() == before


def test_a_bucket_outside_the_eu_is_refused_before_data_moves(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    bucket = f"photos-in-virginia-for-{engine.deployment}"
    engine.aws.client("s3", "us-east-1").create_bucket(Bucket=bucket)
    before = engine.created()
    told = failure_of(engine.materialize(settings.model_copy(update={"images": f"s3://{bucket}/a"}), instance))
    assert bucket in told
    assert "us-east-1" in told
    assert engine.created() == before
    with pytest.raises(FruitsError, match="photos stay in the European Union"):
        read_settings(region="us-east-1")
