"""The command ``fruits clusters``: lists what runs with its cost, and ends it when asked; others' never by mistake."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from fruits_assets.commands.aws.clusters import Running, choose, clusters_command, duration
from fruits_assets.money import prices
from fruits_assets.money.budget import check_budget
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import month_spend, month_start
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from tests.emr_emulator import Emulator

OURS = {"fruits-stack": "fruits"}


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An EMR that keeps clusters in any state and has no Price List API beside it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    prices._of_the_day.cache_clear()
    with mock_aws():
        yield boto3.client("emr", region_name="eu-west-3")
    prices._of_the_day.cache_clear()


def started(emr: Any, name: str = "fruits-fruits", kind: str = "m5.xlarge", **tags: str) -> str:
    groups = [
        {"InstanceRole": role, "InstanceType": kind, "InstanceCount": count}
        for role, count in (("MASTER", 1), ("CORE", 2))
    ]
    cluster_id: str = emr.run_job_flow(
        Name=name,
        ReleaseLabel="emr-7.14.0",
        Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},
        Applications=[{"Name": "Spark"}, {"Name": "JupyterHub"}],
        Tags=[{"Key": key.replace("_", "-"), "Value": value} for key, value in tags.items()],
        JobFlowRole="nodes",
        ServiceRole="service",
    )["JobFlowId"]
    return cluster_id


def state(emr: Any, cluster_id: str) -> str:
    found: str = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
    return found


def fruits_clusters(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(clusters_command, list(arguments), input=answer)


def test_with_nothing_running_it_says_so_and_succeeds(emr: Any) -> None:
    result = fruits_clusters()
    assert result.exit_code == 0
    assert "No cluster runs in eu-west-3." in result.output
    assert f"{month_start(datetime.now(UTC)):%B %Y}: 0.00 EUR of 10.00 EUR, 10.00 EUR left" in result.output
    result = fruits_clusters("--terminate")
    assert result.exit_code == 0
    assert "nothing to end" in result.output


def test_clusters_are_listed_with_state_age_nodes_cost_and_links(emr: Any) -> None:
    ours, by_hand = started(emr, **OURS), started(emr, "Somebody's")
    result = fruits_clusters()
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line.startswith("j-")}
    assert "waiting  0 min  3 nodes  0.02 EUR this month  (stack fruits)" in lines[ours]
    assert "Somebody's  waiting" in lines[by_hand]
    assert "not started by fruits" in lines[by_hand]
    for part in ("idle since", ":9443", f"#/clusterDetails/{ours}", "table of 2026-09"):
        assert part in result.output


def test_ended_clusters_are_listed_with_all_and_count_in_the_spend_without(emr: Any) -> None:
    ended = started(emr, **OURS)
    emr.terminate_job_flows(JobFlowIds=[ended])
    assert ended not in fruits_clusters().output
    told = json.loads(fruits_clusters("--all", "--json").output)
    assert [(one["id"], one["state"]) for one in told["clusters"]] == [(ended, "TERMINATED")]
    assert told["eur"] == pytest.approx(told["clusters"][0]["eur"])
    assert json.loads(fruits_clusters("--json").output)["eur"] == pytest.approx(told["eur"])
    assert told["eur"] > 0


def test_terminate_ends_the_clusters_of_the_stack_and_leaves_those_of_others(emr: Any) -> None:
    ours, by_hand = started(emr, **OURS), started(emr, "Somebody's")
    # The same name, and another stack.
    sisters = started(emr, fruits_stack="sister")
    result = fruits_clusters("--terminate", answer="y\n")
    assert result.exit_code == 0, result.output
    assert (state(emr, ours), state(emr, by_hand), state(emr, sisters)) == ("TERMINATED", "WAITING", "WAITING")
    assert f"{by_hand} (Somebody's, waiting, not started by fruits) is left alone" in result.output
    assert f"{ours} is being ended" in result.output


def test_a_cluster_is_ended_also_where_the_jobs_of_the_deployment_cannot_be_listed(
    emr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = started(emr, **OURS)
    for name, value in {"DEPLOYMENT": "glue", "IMAGES": "s3://data/Test", "STORE": "s3://data"}.items():
        monkeypatch.setenv(f"FRUITS_{name}", value)
    result = fruits_clusters("--terminate", "--yes")
    assert result.exit_code == 1
    assert f"{ours} is being ended" in result.output
    assert "There is no stack fruits in eu-west-3" in result.output
    assert state(emr, ours) == "TERMINATED"


def test_nothing_is_ended_without_a_yes(emr: Any) -> None:
    ours = started(emr, **OURS)
    result = fruits_clusters("--terminate", answer="n\n")
    assert result.exit_code == 1
    assert state(emr, ours) == "WAITING"


def test_a_cluster_of_others_is_ended_by_its_id(emr: Any) -> None:
    ours, by_hand = started(emr, **OURS), started(emr, "Somebody's")
    result = fruits_clusters("--terminate", by_hand, "--yes")
    assert result.exit_code == 0, result.output
    assert (state(emr, ours), state(emr, by_hand)) == ("WAITING", "TERMINATED")


def test_an_id_that_is_none_ends_nothing(emr: Any) -> None:
    ours = started(emr, **OURS)
    result = fruits_clusters("--terminate", ours, "j-0000000000000", "--yes")
    assert result.exit_code == 1
    assert "There is no cluster j-0000000000000 in eu-west-3" in result.output
    assert state(emr, ours) == "WAITING"


def test_a_cluster_that_has_ended_already_is_no_error(emr: Any) -> None:
    ended = started(emr, **OURS)
    emr.terminate_job_flows(JobFlowIds=[ended])
    result = fruits_clusters("--terminate", ended, "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"terminated": []}
    assert f"{ended} has ended already." in result.stderr


def test_a_cluster_whose_price_is_not_known_can_still_be_ended(emr: Any) -> None:
    dear = started(emr, kind="g5.xlarge", **OURS)
    result = fruits_clusters()
    assert result.exit_code == 1
    assert "g5.xlarge" in result.output
    assert "pricing:GetProducts" in result.output
    assert fruits_clusters("--terminate", "--yes").exit_code == 0
    assert state(emr, dear) == "TERMINATED"


def test_a_cluster_is_ended_whose_schedules_cannot_be_deleted_and_both_are_said(
    emr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody answers there.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SCHEDULER", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ours = started(emr, **OURS)
    result = fruits_clusters("--terminate", "--yes")
    assert result.exit_code == 0, result.output
    assert state(emr, ours) == "TERMINATED"
    assert result.stdout == f"{ours} is being ended; it takes a minute or two.\n"
    assert f"the schedules of cluster {ours} stay, which does no harm" in result.stderr
    assert f"delete the schedule fruits/{ours}-terminate" in result.stderr


def test_one_that_is_protected_does_not_spare_the_others(emr: Any) -> None:
    protected, other = started(emr, **OURS), started(emr, **OURS)
    emr.set_termination_protection(JobFlowIds=[protected], TerminationProtected=True)
    result = fruits_clusters("--terminate", "--yes")
    assert result.exit_code == 1
    assert f"end {protected}" in result.output
    assert (state(emr, protected), state(emr, other)) == ("WAITING", "TERMINATED")


def test_ids_without_terminate_are_refused(emr: Any) -> None:
    result = fruits_clusters("j-1")
    assert result.exit_code == 2
    assert "--terminate" in result.output


def test_without_credentials_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for arguments in ([], ["--terminate"]):
        result = fruits_clusters(*arguments)
        assert result.exit_code == 1
        assert "aws sso login" in result.output
        assert "Traceback" not in result.output


def test_clusters_are_chosen_by_stack_or_by_id() -> None:
    ours, sisters, by_hand = (
        Running(f"j-{number}", "x", "WAITING", stack) for number, stack in enumerate(("fruits", "sister", None))
    )
    everything = [ours, sisters, by_hand]
    assert choose(everything, [], "fruits") == ([ours], [sisters, by_hand])
    assert choose(everything, ["j-2"], "fruits") == ([by_hand], [])


@pytest.mark.parametrize(
    ("minutes", "told"), [(0.5, "0 min"), (65, "1 h 05 min"), (47 * 60, "47 h 00 min"), (4560, "3 d 4 h")]
)
def test_a_time_is_told_as_a_person_says_it(minutes: float, told: str) -> None:
    assert duration(timedelta(minutes=minutes)) == told


def roles(emulator: Emulator) -> dict[str, str]:
    """Makes the roles that a cluster needs."""
    iam = emulator.client("iam")
    trust = {"Version": "2012-10-17", "Statement": []}
    for name in ("by-hand-service", "by-hand-node"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.create_instance_profile(InstanceProfileName="by-hand-node")
    iam.add_role_to_instance_profile(InstanceProfileName="by-hand-node", RoleName="by-hand-node")
    return {"ServiceRole": "by-hand-service", "JobFlowRole": "by-hand-node"}


def wait_for(emr: Any, cluster_id: str, *states: str) -> None:
    until = time.monotonic() + 120
    while state(emr, cluster_id) not in states:
        assert time.monotonic() < until, f"{cluster_id} is {state(emr, cluster_id)}"
        time.sleep(0.2)


def test_on_the_emulator_a_cluster_started_by_hand_counts_and_may_leave_no_room_for_ours(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.root_environ.items():
        monkeypatch.setenv(name, value)
    prices._of_the_day.cache_clear()
    prices._live_node.cache_clear()
    emr, settings = emulator.client("emr"), read_settings()
    by_hand = emr.run_job_flow(
        Name="Somebody's",
        ReleaseLabel="emr-7.14.0",
        Instances={
            "MasterInstanceType": "m5.2xlarge",
            "SlaveInstanceType": "m5.xlarge",
            "InstanceCount": 3,
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        **roles(emulator),
    )["JobFlowId"]
    wait_for(emr, by_hand, "WAITING")
    rates = read_prices(settings)
    assert rates.source == prices.API
    created = emr.describe_cluster(ClusterId=by_hand)["Cluster"]["Status"]["Timeline"]["CreationDateTime"]
    now = created + timedelta(hours=10)
    spend = month_spend(emr, rates, now)
    found = next(one for one in spend.clusters if one.id == by_hand)
    hourly = rates.including({"m5.2xlarge"}).node_hour_eur("m5.2xlarge") + 2 * rates.node_hour_eur("m5.xlarge")
    hours = (now - max(created, month_start(now))).total_seconds() / 3600
    assert (found.nodes, found.ours, found.running) == (3, False, True)
    assert found.eur == pytest.approx(hours * hourly, rel=1e-3, abs=0.01)
    assert found.hourly.total == pytest.approx(hourly)
    with pytest.raises(FruitsError, match="No cluster is created"):
        check_budget(spend, 1.0, spend.total_eur + 1.0)
    told = json.loads(fruits_clusters("--json").output)
    assert by_hand in [one["id"] for one in told["clusters"]]
    assert told["prices"].startswith("Price List API")
    assert fruits_clusters("--terminate", by_hand, "--yes").exit_code == 0
    wait_for(emr, by_hand, "TERMINATED")
    later = {one["id"]: one for one in json.loads(fruits_clusters("--json", "--all").output)["clusters"]}
    assert later[by_hand]["eur"] > 0
    assert later[by_hand]["eur_per_hour"] == 0
