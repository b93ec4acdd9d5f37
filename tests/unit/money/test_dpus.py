"""What jobs that are billed by DPU-hours cost, at once and at most."""

import json

import pytest

from fruits_assets.money.costs import COST_VARIABLE, EuroRate, entries
from fruits_assets.money.dpus.estimate import RUN_START_UP_SECONDS, estimate_runs
from fruits_assets.money.dpus.prices import DpuPrices, table_dpu_prices
from fruits_assets.money.dpus.workers import DpuCostModel, Size, cores_of, size_of, used_eur, worst_case_eur
from fruits_assets.money.models import model_of_this_step
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError

# A DPU-hour of 0.40 EUR.
ROUND = DpuPrices(0.4, "test", EuroRate(1.0, 0.0))
MODEL = DpuCostModel("Glue job fruits", "G.2X", 3, 0.4, "test")


def test_a_step_costs_at_most_all_workers_for_that_time() -> None:
    told = entries(MODEL.of_seconds(1800), images=1000)
    # 3 workers of 2 DPUs for half an hour.
    assert told["run_cost_eur"] == pytest.approx(3 * 2 * 0.4 / 2)
    assert "3 G.2X of 2 DPU" in told["cost_computed_from"]
    assert "upper bound" in told["cost_computed_from"]


def test_the_model_of_a_run_travels_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DpuCostModel.from_json(json.loads(MODEL.as_variable())) == MODEL
    monkeypatch.setenv(COST_VARIABLE, MODEL.as_variable())
    assert model_of_this_step() == MODEL


def test_the_smallest_worker_that_holds_an_executor_is_taken() -> None:
    assert size_of(read_settings()) == Size("G.1X", 4)
    assert size_of(read_settings(executor_cores=8)) == Size("G.2X", 4)
    # 13 GB do not fit the three quarters of 16 that an executor has.
    assert size_of(read_settings(executor_overhead="9g", max_executors=1)) == Size("G.2X", 2)
    assert cores_of(read_settings(executor_cores=8)) == 24


def test_an_executor_that_no_worker_holds_is_refused_with_what_can_be_had() -> None:
    with pytest.raises(FruitsError, match=r"FRUITS_EXECUTOR_CORES is 64.*G.8X, has 32 cores and 96 GB"):
        size_of(read_settings(executor_cores=64))


def test_the_worst_case_is_all_workers_until_glue_ends_the_run() -> None:
    # 3 DPUs for an hour.
    assert worst_case_eur(read_settings(max_executors=2, step_minutes=58), ROUND) == pytest.approx(1.2)


def test_a_run_is_billed_by_its_dpu_seconds_or_else_by_its_time_and_all_workers_and_a_minute_at_least() -> None:
    run = {"ExecutionTime": 1800, "MaxCapacity": 4.0}
    assert used_eur({**run, "DPUSeconds": 3600.0}, ROUND) == pytest.approx(0.4)
    assert used_eur(run, ROUND) == pytest.approx(0.8)
    assert used_eur({**run, "ExecutionTime": 6}, ROUND) == pytest.approx(0.4 * 4 / 60)
    assert used_eur({**run, "ExecutionTime": 0}, ROUND) == 0.0


def test_the_table_says_of_which_region_its_price_is() -> None:
    assert "it is that of eu-west-3" in table_dpu_prices(EuroRate(1.0, 0.0), "eu-north-1").computed_from
    assert "that of" not in table_dpu_prices(EuroRate(1.0, 0.0)).computed_from


def test_more_photos_take_longer_and_cost_more_and_a_step_is_a_run() -> None:
    settings = read_settings()
    few, many = (estimate_runs(images, ROUND, settings, 0.01) for images in (1_000, 1_000_000))
    assert few.jobs == 5
    assert few.start_up_seconds == 5 * RUN_START_UP_SECONDS
    assert many.work_seconds > few.work_seconds
    assert many.total_eur > few.total_eur
    assert few.worst_case_eur == worst_case_eur(settings, ROUND)
