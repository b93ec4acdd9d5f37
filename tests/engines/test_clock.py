"""A launching machine whose clock is an hour ahead or behind, on each engine."""

import uuid

import dagster as dg
import pytest

from fruits_assets.aws import clock
from fruits_assets.aws.s3_lock import held
from fruits_assets.aws.sessions import client
from fruits_assets.engines.engine import JobState
from fruits_assets.engines.guards import guard_sensor
from fruits_assets.engines.registry import entry_of
from fruits_assets.money.account import account_spend
from fruits_assets.money.allowance import LOCK, allowance
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from tests.support.aws.clocks import wrong_clock
from tests.support.aws.emr_runs import LOCKS, clusters, failure_of, wait_until
from tests.support.aws.engines import Bench, empty_request

HOURS = pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "behind"])


@pytest.fixture
def run_under_way(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that is not over."""
    return instance.add_run(dg.DagsterRun("a_job", run_id=str(uuid.uuid4())))


def look(instance: dg.DagsterInstance, settings: Settings) -> str:
    """Returns what the guard says that it has done."""
    told = guard_sensor(dg.build_sensor_context(instance=instance, resources={"settings": settings}))
    assert isinstance(told, dg.SkipReason)
    return str(told.skip_message)


@HOURS
def test_a_wrong_clock_doubles_no_step_and_leaves_nothing(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance, hours: int
) -> None:
    before = len(engine.jobs())
    with wrong_clock(hours):
        result = engine.materialize(settings, instance)
    assert result.success, failure_of(result)
    assert len(engine.jobs()) == before + 1
    wait_until(lambda: all(cluster["state"].startswith("TERMINAT") for cluster in clusters(engine.aws)), 10)


@HOURS
@pytest.mark.usefixtures("without_spark")
def test_a_wrong_clock_breaks_no_lock_doubles_no_job_and_takes_none_for_an_orphan(
    engine: Bench, settings: Settings, instance: dg.DagsterInstance, run_under_way: dg.DagsterRun, hours: int
) -> None:
    there = entry_of(engine.deployment).make_engine(settings)
    request = empty_request(there, settings, run_under_way.run_id)
    with wrong_clock(hours):
        job = there.submit(request, lambda _: None)
        made = engine.created()
        assert there.submit(request, lambda _: None) == job
        assert "cancelled" not in look(instance, settings)
        assert engine.created() == made
        instance.report_run_failed(run_under_way)
        # A job that does nothing may be over by then.
        assert f"{job} is cancelled" in look(instance, settings) or there.state(job).is_over
    wait_until(lambda: there.state(job).is_over, 60)


@HOURS
def test_a_lock_that_another_machine_holds_is_not_stale(engine: Bench, settings: Settings, hours: int) -> None:
    s3 = engine.aws.client("s3")
    with (
        held(s3, LOCKS, LOCK, patience=0),
        wrong_clock(hours),
        pytest.raises(FruitsError, match="Another process holds the lock"),
        allowance(settings, s3, LOCKS, patience=0),
    ):
        pass


@HOURS
@pytest.mark.usefixtures("without_spark")
def test_the_months_spend_is_that_of_a_right_clock(engine: Bench, settings: Settings, hours: int) -> None:
    there = entry_of(engine.deployment).make_engine(settings)
    job = there.submit(empty_request(there, settings, str(uuid.uuid4())), lambda _: None)
    # What it runs on is there, and costs more each second.
    wait_until(lambda: there.state(job) not in (JobState.QUEUED, JobState.STARTING))

    def spent() -> float:
        # As any request to AWS does, it tells the time.
        client("sts", settings.region).get_caller_identity()
        return account_spend(settings, read_prices(settings), clock.now()).total_eur

    right = spent()
    with wrong_clock(hours):
        assert spent() == pytest.approx(right, abs=0.02)
