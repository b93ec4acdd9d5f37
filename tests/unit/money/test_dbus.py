"""What runs on clusters of Databricks cost, at once and at most."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fruits_assets.money.costs import COST_VARIABLE, EuroRate, entries
from fruits_assets.money.dbus.estimate import CLUSTER_START_UP_SECONDS, estimate_workspace
from fruits_assets.money.dbus.prices import DbuPrices, dbus_of, table_dbu_prices
from fruits_assets.money.dbus.spend import run_spend, sizes_of_run, stack_of_run, state_of_run, used_eur
from fruits_assets.money.dbus.workers import DbuCostModel, Size, cores_of, size_of, worst_case_eur
from fruits_assets.money.models import model_of_this_step
from fruits_assets.money.prices import API, NodePrice, Prices
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError

# For an hour of an m5.xlarge: 0.40 EUR of EC2, 0.69 DBU of 0.20 EUR, and 280 GB of disk at 0.10 EUR a month.
MACHINES = Prices(API, "2026-11-20", "eu-west-3", EuroRate(1.0, 0.0), 0.1, {"m5.xlarge": NodePrice(0.4, 0.08, 73)})
ROUND = DbuPrices(0.2, MACHINES)
NODE = 0.4 + 0.69 * 0.2 + 280 * 0.1 / 730
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(minutes: float, over: bool = True, **cluster: Any) -> dict[str, Any]:
    start = int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)
    asked = {"node_type_id": "m5.xlarge", "num_workers": 1, "custom_tags": {"fruits-stack": "fruits"}, **cluster}
    task = {"new_cluster": asked, "cluster_instance": {"cluster_id": "1"}, "timeout_seconds": 3600}
    status: dict[str, Any] = {"state": "TERMINATED" if over else "RUNNING"}
    status |= {"termination_details": {"code": "SUCCESS"}} if over else {}
    end = int(NOW.timestamp() * 1000) if over else 0
    return {"run_id": 1, "start_time": start, "end_time": end, "status": status, "tasks": [task]}


def test_a_node_costs_its_machine_its_dbus_and_its_disks() -> None:
    assert ROUND.node_hour("m5.xlarge").total == pytest.approx(NODE)
    assert dbus_of("m5.4xlarge") == pytest.approx(4 * 0.69)
    assert "0.2 USD a DBU" in ROUND.computed_from


def test_a_step_costs_all_nodes_for_that_time() -> None:
    model = DbuCostModel.of_run(read_settings(max_executors=2), ROUND, "workspace here")
    told = entries(model.of_seconds(1800), images=1000)
    assert told["run_cost_eur"] == pytest.approx(3 * NODE / 2)
    assert told["run_cost_ec2_eur"] == pytest.approx(3 * 0.4 / 2)
    assert "3 m5.xlarge of 0.69 DBU" in told["cost_computed_from"]


def test_the_model_of_a_run_travels_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DbuCostModel.of_run(read_settings(), ROUND, "workspace here")
    assert DbuCostModel.from_json(json.loads(model.as_variable())) == model
    monkeypatch.setenv(COST_VARIABLE, model.as_variable())
    assert model_of_this_step() == model


def test_a_cluster_has_a_node_for_each_executor_and_one_for_the_driver() -> None:
    assert size_of(read_settings()) == Size("m5.xlarge", 4)
    assert cores_of(read_settings(executor_cores=8, instance_type="m5.2xlarge")) == 24
    with pytest.raises(FruitsError, match=r"FRUITS_EXECUTOR_CORES is 8.*m5.xlarge, has 4"):
        size_of(read_settings(executor_cores=8))


def test_the_worst_case_is_all_nodes_from_the_request_until_databricks_has_ended_them() -> None:
    # 15 minutes for the start, 40 for the step, 5 for the end.
    assert worst_case_eur(read_settings(max_executors=1, step_minutes=40), ROUND) == pytest.approx(2 * NODE)


def test_a_run_has_cost_all_its_nodes_from_its_submission_on_and_nothing_where_it_never_had_any() -> None:
    finished = run(30)
    assert used_eur(finished, sizes_of_run(finished), ROUND, NOW) == pytest.approx(NODE)
    running = run(60, over=False)
    assert used_eur(running, sizes_of_run(running), ROUND, NOW) == pytest.approx(2 * NODE)
    never = {**run(30), "tasks": [{"new_cluster": {"node_type_id": "m5.xlarge", "num_workers": 1}}]}
    assert used_eur(never, sizes_of_run(never), ROUND, NOW) == 0.0


def test_a_cluster_that_may_grow_counts_as_large_as_it_may_become_and_shared_ones_count_too() -> None:
    assert sizes_of_run(run(1, autoscale={"min_workers": 1, "max_workers": 5})) == [Size("m5.xlarge", 6)]
    shared = {"job_clusters": [{"new_cluster": {"node_type_id": "m5.2xlarge", "num_workers": 2}}], "tasks": [{}]}
    assert sizes_of_run(shared) == [Size("m5.2xlarge", 3)]
    assert sizes_of_run({"tasks": [{"existing_cluster_id": "1"}]}) == []


def test_the_stack_and_the_state_of_a_run_are_read_from_it() -> None:
    assert stack_of_run(run(1)) == "fruits"
    assert stack_of_run(run(1, custom_tags={})) is None
    assert (state_of_run(run(1)), state_of_run(run(1, over=False))) == ("SUCCESS", "RUNNING")


def test_no_workspace_is_asked_where_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody answers there.
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DATABRICKS_TOKEN", "a")
    assert run_spend(read_settings(deployment="local"), ROUND, NOW, NOW) == ()
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(FruitsError, match="DATABRICKS_HOST"):
        run_spend(read_settings(databricks=True), ROUND, NOW, NOW)


def test_more_photos_take_longer_and_cost_more_and_a_step_is_a_run_with_its_cluster() -> None:
    settings = read_settings()
    prices = table_dbu_prices(settings)
    few, many = (estimate_workspace(images, prices, settings, 0.01) for images in (1_000, 1_000_000))
    assert few.jobs == 5
    assert few.start_up_seconds == 5 * CLUSTER_START_UP_SECONDS
    assert many.work_seconds > few.work_seconds
    assert many.total_eur > few.total_eur
    assert few.worst_case_eur == worst_case_eur(settings, prices)
