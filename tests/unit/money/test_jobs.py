"""What jobs that are billed by their workers cost, at once and at most."""

import json
from dataclasses import replace

import pytest

from fruits_assets.money.budget import JOB, check_budget
from fruits_assets.money.costs import COST_VARIABLE, EuroRate, entries
from fruits_assets.money.jobs.estimate import JOB_START_UP_SECONDS, estimate_jobs
from fruits_assets.money.jobs.prices import WorkerPrices
from fruits_assets.money.jobs.spend import used_eur
from fruits_assets.money.jobs.workers import Worker, WorkerCostModel, executor, timeout_minutes, worst_case_eur
from fruits_assets.money.models import model_of_this_step
from fruits_assets.money.spend import JobSpend
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.money import NOW, spend_of, spent

# A vCPU-hour of 0.05 EUR and a gigabyte-hour of 0.01.
ROUND = WorkerPrices(0.05, 0.01, "test", EuroRate(1.0, 0.0))
MODEL = WorkerCostModel("application a", Worker(2, 8), Worker(4, 9), 2, 0.05, 0.01, "test")


def test_a_step_costs_at_most_its_driver_and_all_executors_for_that_time() -> None:
    told = entries(MODEL.of_seconds(1800), images=1000)
    # 10 vCPUs and 26 GB for half an hour.
    assert told["run_cost_eur"] == pytest.approx((10 * 0.05 + 26 * 0.01) / 2)
    assert "2 executors of 4 vCPU and 9 GB" in told["cost_computed_from"]
    assert "upper bound" in told["cost_computed_from"]
    assert told["cost_per_1000_images_eur"] == pytest.approx(0.38)


def test_the_model_of_a_job_travels_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerCostModel.from_json(json.loads(MODEL.as_variable())) == MODEL
    monkeypatch.setenv(COST_VARIABLE, MODEL.as_variable())
    assert model_of_this_step() == MODEL
    monkeypatch.delenv(COST_VARIABLE)
    assert model_of_this_step() is None


def test_memory_is_rounded_up_to_what_can_be_had() -> None:
    assert executor(read_settings()) == Worker(4, 9)
    assert executor(read_settings(executor_cores=1, executor_memory="512m", executor_overhead="512m")) == Worker(1, 2)
    assert executor(read_settings(executor_cores=8, executor_memory="12g", executor_overhead="5g")) == Worker(8, 20)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor_cores": 3}, "FRUITS_EXECUTOR_CORES is 3, and an executor there has one of 1, 2, 4, 8, 16"),
        ({"executor_cores": 1, "executor_memory": "8g"}, "an executor of 1 cores has 8 GB at most"),
    ],
)
def test_an_executor_that_cannot_be_had_is_refused_with_what_can(given: dict[str, int | str], message: str) -> None:
    with pytest.raises(FruitsError, match=message):
        executor(read_settings(**given))


def test_the_worst_case_is_all_workers_until_the_service_ends_the_job() -> None:
    settings = read_settings(max_executors=2, step_minutes=58)
    assert worst_case_eur(settings, ROUND) == pytest.approx(10 * 0.05 + 26 * 0.01)
    assert timeout_minutes(read_settings(step_minutes=1)) == 5


def test_what_was_billed_goes_before_what_was_used() -> None:
    used, billed = {"vCPUHour": 1.0, "memoryGBHour": 2.0}, {"vCPUHour": 2.0, "memoryGBHour": 4.0}
    assert used_eur({"totalResourceUtilization": used}, ROUND) == pytest.approx(0.07)
    assert used_eur({"totalResourceUtilization": used, "billedResourceUtilization": billed}, ROUND) == pytest.approx(
        0.14
    )
    assert used_eur({}, ROUND) is None


def job(eur: float, rest: float, state: str = "RUNNING") -> JobSpend:
    return JobSpend("j", "a", "raw_images", state, "fruits", NOW, eur, rest)


def test_jobs_and_clusters_share_one_budget() -> None:
    spend = replace(spend_of(spent(1.0)), jobs=(job(0.5, 1.5), job(1.0, 0.0, "SUCCESS")))
    assert spend.total_eur == 2.5
    # 2.50 spent + 1.50 that the running job may still cost + 1.00 new.
    check_budget(spend, 1.0, 5.0, JOB)
    with pytest.raises(FruitsError) as refused:
        check_budget(spend, 1.0, 4.99, JOB)
    for part in (
        "No job is started: the budget of 4.99 EUR",
        "1.50 EUR that 1 running job may",
        "FRUITS_MAX_EXECUTORS",
    ):
        assert part in str(refused.value)


def test_more_photos_take_longer_and_cost_more_and_a_step_is_a_job() -> None:
    settings = read_settings()
    few, many = (estimate_jobs(images, ROUND, settings, 0.01) for images in (1_000, 1_000_000))
    assert few.jobs == 5
    assert few.start_up_seconds == 5 * JOB_START_UP_SECONDS
    assert many.work_seconds > few.work_seconds
    assert many.total_eur > few.total_eur
    assert few.worst_case_eur == worst_case_eur(settings, ROUND)
