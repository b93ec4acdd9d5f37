"""What is Databricks' own: its policy, its limits, its bill, its region, its environment."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from fruits_assets.aws.environment import CURRENT
from fruits_assets.aws.workspace import workspace
from fruits_assets.commands.aws.deploy import deploy_to_workspace
from fruits_assets.commands.aws.doctor import examine
from fruits_assets.engines.databricks.engine import DatabricksEngine
from fruits_assets.engines.databricks.policy import policy_of
from fruits_assets.engines.engine import JobState
from fruits_assets.money.account import account_spend
from fruits_assets.money.dbus.prices import read_dbu_prices
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import JobSpend
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import STAGING, failure_of, in_background, wait_until
from tests.support.aws.engines import OVER, Bench, benches


@pytest.fixture
def databricks(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The engine, with this process's way to its emulator."""
    bench = benches(aws)["databricks"]
    for name, value in (aws.environ | bench.environ).items():
        monkeypatch.setenv(name, value)
    yield bench
    aws.set_clock_speed(1.0)
    aws.enforce_iam(False)
    aws.move_workspace("eu-west-3")
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    bench.clean()


@pytest.fixture
def settings(databricks: Bench, photos: Path, network_file: Path) -> Settings:
    return databricks.settings(photos, network_file)


def checks_of(settings: Settings) -> dict[str, tuple[str, str]]:
    """Returns state and detail of the checks of the workspace."""
    wanted = ("workspace", "cluster policy", "databricks role")
    return {check.name: (check.state, check.detail) for check in examine(settings) if check.name in wanted}


def runs_counted(settings: Settings) -> list[JobSpend]:
    """Returns the runs of the workspace that count in the month's spend."""
    spend = account_spend(settings, read_prices(settings), datetime.now(UTC))
    return [job for job in spend.jobs if job.kind == "workspace"]


def test_a_run_whose_time_is_up_is_ended_by_databricks_told_and_counted_in_the_month(
    databricks: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    counted: list[float] = []
    before = {job.id for job in runs_counted(settings)}

    def hurry() -> None:
        databricks.running_job()
        (running,) = [job for job in runs_counted(settings) if job.running]
        counted.append(running.eur + running.rest_eur)
        databricks.aws.set_clock_speed(3_000.0)

    thread = in_background(hurry)
    told = failure_of(databricks.materialize(settings.model_copy(update={"step_minutes": 5}), instance))
    thread.join(30)
    assert "it took more than 20 minutes with the start of its cluster, and Databricks has ended it" in told
    assert "Raise FRUITS_STEP_MINUTES" in told
    assert databricks.processes() == 0
    # Two nodes for 20 minutes, and 5 for their end.
    assert counted == [pytest.approx(2 * read_dbu_prices(settings).node_hour("m5.xlarge").total * 25 / 60, rel=0.01)]
    new = [job for job in runs_counted(settings) if job.id not in before]
    assert [(job.stack, job.running, job.rest_eur) for job in new] == [("fruits", False, 0.0)]
    asked = databricks.aws.state()["calls"]["databricks:get/jobs/runs/list"]
    other = settings.model_copy(update={"deployment": "emr"})
    assert runs_counted(other) == []
    assert databricks.aws.state()["calls"]["databricks:get/jobs/runs/list"] == asked


def test_an_environment_that_cannot_be_put_onto_the_nodes_is_told(
    databricks: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    s3 = databricks.aws.client("s3")
    current = s3.get_object(Bucket=STAGING, Key=CURRENT)["Body"].read()
    script = b"environment/databricks.sh"
    before = databricks.created()
    try:
        s3.put_object(Bucket=STAGING, Key="environment/broken.sh", Body=b"echo no network >&2; exit 3")
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current.replace(script, b"environment/broken.sh"))
        told = failure_of(databricks.materialize(settings, instance))
        assert "the environment could not be put onto the nodes of its cluster. Run fruits deploy --databricks" in told
        assert databricks.created() == before + 1
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current.replace(b'"init_script"', b'"bootstrap"'))
        told = failure_of(databricks.materialize(settings, instance, folder="Lemon"))
        assert "was made without the script that puts it onto nodes of Databricks" in told
        assert databricks.created() == before + 1
    finally:
        s3.put_object(Bucket=STAGING, Key=CURRENT, Body=current)
    run = databricks.jobs()[-1]
    (key,) = [
        one["Key"]
        for one in s3.list_objects_v2(Bucket=STAGING, Prefix="logs/databricks/")["Contents"]
        if "init_scripts" in one["Key"] and run["name"].replace(" ", "-") in one["Key"]
    ]
    assert s3.get_object(Bucket=STAGING, Key=key)["Body"].read() == b"no network\n"


def test_a_workspace_elsewhere_is_refused_before_anything_is_created(
    databricks: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    databricks.aws.move_workspace("us-east-1")
    before = databricks.created()
    told = failure_of(databricks.materialize(settings, instance))
    assert "lies in us-east-1, outside the European Union, where photos stay" in told
    assert databricks.created() == before
    state, detail = checks_of(settings)["workspace"]
    assert state == "failed"
    assert "us-east-1" in detail
    databricks.aws.move_workspace("eu-west-1")
    with pytest.raises(FruitsError, match="Set FRUITS_REGION=eu-west-1"):
        deploy_to_workspace(settings, DatabricksEngine(settings).infrastructure, lambda _: None)


def test_deploy_makes_the_policy_and_doctor_compares_it_with_the_settings(
    databricks: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    infrastructure, said = DatabricksEngine(settings).infrastructure, list[str]()
    other = settings.model_copy(update={"max_executors": 2})
    deploy_to_workspace(other, infrastructure, said.append)
    assert said[:2] == [
        f"The workspace has the instance profile {infrastructure.databricks_profile_arn}.",
        "The cluster policy fruits is brought up to date.",
    ]
    assert "iam:PassRole" in said[2]
    checks = checks_of(other)
    assert {state for state, _ in checks.values()} == {"ok"}
    assert len(checks) == 3
    wider = settings.model_copy(update={"max_executors": 8})
    assert checks_of(wider)["cluster policy"] == (
        "failed",
        "num_workers is minValue 1 maxValue 2, not minValue 1 maxValue 8",
    )
    # Nobody who uses no workspace is told of one.
    assert set(checks_of(settings.model_copy(update={"deployment": "emr"}))) == {"databricks role"}
    assert policy_of(workspace(), "theirs") is None
    deploy_to_workspace(settings.model_copy(update={"max_executors": 3}), infrastructure, said.append)
    monkeypatch.setenv("DATABRICKS_TOKEN", "another")
    state, detail = checks_of(other)["workspace"]
    assert state == "failed"
    assert "does not accept DATABRICKS_TOKEN" in detail


def test_a_run_beyond_the_policy_is_refused_by_the_workspace_and_told(
    databricks: Bench, settings: Settings, instance: dg.DagsterInstance
) -> None:
    before = databricks.created()
    told = failure_of(databricks.materialize(settings.model_copy(update={"max_executors": 9}), instance))
    assert "Databricks refused to start a run: Cluster validation error: Validation failed for num_workers" in told
    assert databricks.created() == before


def test_what_a_task_printed_and_its_trace_tell_why_it_failed(databricks: Bench, settings: Settings) -> None:
    s3 = databricks.aws.client("s3")
    s3.put_object(Bucket=STAGING, Key="steps/says.py", Body=b"print('looking')\nraise SystemExit('no fruit in it')")
    engine = DatabricksEngine(settings)
    policy = policy_of(engine.runs.client, "fruits")
    assert policy is not None
    profile = engine.infrastructure.databricks_profile_arn
    script = {"s3": {"destination": f"s3://{STAGING}/environment/nothing.sh", "region": "eu-west-3"}}
    s3.put_object(Bucket=STAGING, Key="environment/nothing.sh", Body=b"exit 0")
    cluster: dict[str, Any] = {
        "policy_id": policy[0],
        "spark_version": "15.4.x-scala2.12",
        "node_type_id": "m5.xlarge",
        "driver_node_type_id": "m5.xlarge",
        "num_workers": 1,
        "data_security_mode": "SINGLE_USER",
        "aws_attributes": {"instance_profile_arn": profile, "zone_id": "auto"},
        "custom_tags": {"fruits-stack": "fruits", "Project": "fruits"},
        "init_scripts": [script],
        "spark_conf": {"spark.default.parallelism": "1"},
    }
    task = {
        "task_key": "a",
        "spark_python_task": {"python_file": f"s3://{STAGING}/steps/says.py"},
        "new_cluster": cluster,
    }
    job = engine.runs.submit({"run_name": "by hand", "tasks": [task]})
    wait_until(lambda: databricks.state(job.id) in OVER)
    assert engine.state(job) == JobState.FAILED
    evidence = engine.evidence(job, None, lambda _: None)
    assert "no fruit in it" in evidence.message
    assert "looking" in evidence.log
    assert "Traceback" in evidence.log


def test_nodes_have_their_roles_rights_and_no_others(databricks: Bench, settings: Settings) -> None:
    role = databricks.aws.environ_of_role(DatabricksEngine(settings).infrastructure.databricks_role_arn)
    s3: Any = databricks.aws.client("s3", environ=role)
    databricks.aws.enforce_iam(True)
    s3.put_object(Bucket=STAGING, Key="logs/databricks/mine", Body=b"x")
    for key in ("environment/mine", "logs/mine"):
        with pytest.raises(ClientError, match=r"s3:PutObject|AccessDenied"):
            s3.put_object(Bucket=STAGING, Key=key, Body=b"x")
    with pytest.raises(ClientError, match="elasticmapreduce:ListClusters"):
        databricks.aws.client("emr", environ=role).list_clusters()
