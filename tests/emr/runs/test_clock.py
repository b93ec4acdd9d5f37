"""Clusters of a launching machine whose clock is an hour ahead or behind."""

import uuid

import dagster as dg
import pytest

from fruits_assets.engines.emr.engine import EmrEngine
from fruits_assets.engines.guards import guard_sensor
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.clocks import wrong_clock
from tests.support.aws.emr_runs import clusters, wait_until
from tests.support.aws.engines import empty_request


def state_of(aws: Emulator, cluster_id: str) -> str:
    return next(str(cluster["state"]) for cluster in clusters(aws) if cluster["id"] == cluster_id)


@pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "behind"])
@pytest.mark.usefixtures("no_other_cluster", "without_spark")
def test_a_wrong_clock_neither_makes_a_second_cluster_nor_ends_one_before_its_time_nor_keeps_it_longer(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance, hours: int
) -> None:
    run = instance.add_run(dg.DagsterRun("a_job", run_id=str(uuid.uuid4())))
    engine = EmrEngine(emr)

    def look() -> None:
        guard_sensor(dg.build_sensor_context(instance=instance, resources={"settings": emr}))

    with wrong_clock(hours):
        first = engine.submit(empty_request(engine, emr, run.run_id), lambda _: None)
        # By a clock an hour ahead, less than a quarter of its greatest age were left.
        aws.age(first.place, days=45 / 1440)
        again = engine.submit(empty_request(engine, emr, f"{run.run_id} "), lambda _: None)
        assert again.place == first.place
        wait_until(lambda: engine.state(first).is_over and engine.state(again).is_over)
        instance.report_run_failed(run)
        look()
        assert not state_of(aws, first.place).startswith("TERMINAT")
        # A minute later.
        aws.age(first.place, days=1 / 1440)
        look()
        wait_until(lambda: state_of(aws, first.place).startswith("TERMINAT"), 10)
