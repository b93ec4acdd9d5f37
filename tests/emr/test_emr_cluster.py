"""Which cluster is asked for, which is taken again, which is ended, and the lock under which that happens."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import dagster as dg
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.validate import ParamValidator
from moto import mock_aws

from fruits_assets.aws import s3_lock
from fruits_assets.aws.sessions import call_at_most_once
from fruits_assets.engines.emr.cluster import Cluster, idle_since, reusable
from fruits_assets.engines.emr.cluster_request import cluster_request
from fruits_assets.engines.emr.engine import command
from fruits_assets.engines.emr.steps import Step, last_run
from fruits_assets.engines.engine import Job, JobRef, JobState, job_name
from fruits_assets.engines.guards import orphans
from fruits_assets.engines.staging import StepStaging
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import FruitsError
from tests.support.aws.cluster import ENVIRONMENT, INFRASTRUCTURE

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def settings(**given: Any) -> Settings:
    return read_settings(deployment="emr", images="s3://data/Test", store="s3://data", **given)


def cluster(
    name: str = "j-1", state: str = "WAITING", age: float = 10, release: str = "emr-7.14.0", **tags: str
) -> Cluster:
    created = NOW - timedelta(minutes=age)
    known = {"fruits-environment": ENVIRONMENT.archive, "fruits-instance-type": "m5.xlarge"}
    known |= {"fruits-max-age-minutes": "120"} | {name.replace("_", "-"): value for name, value in tags.items()}
    return Cluster(name, state, created, created + timedelta(minutes=5), known, release)


def found(*clusters: Cluster) -> Cluster | None:
    return reusable(clusters, settings(), ENVIRONMENT, NOW)


def step(state: str, *, name: str = "somebody's", ended: float | None = None, step_id: str = "s-1") -> Step:
    return Step(step_id, name, state, None if ended is None else NOW - timedelta(minutes=ended))


def test_the_cluster_asked_for_is_small_tagged_unprotected_and_ends_when_idle() -> None:
    asked = cluster_request(settings(), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    master, core = asked["Instances"]["InstanceFleets"]
    assert (master["TargetOnDemandCapacity"], core["TargetOnDemandCapacity"]) == (1, 2)
    for fleet in (master, core):
        assert fleet["InstanceTypeConfigs"] == [{"InstanceType": "m5.xlarge", "WeightedCapacity": 1}]
    assert asked["ReleaseLabel"] == "emr-7.14.0"
    limits = asked["ManagedScalingPolicy"]["ComputeLimits"]
    assert (limits["MinimumCapacityUnits"], limits["MaximumCapacityUnits"]) == (2, 4)
    assert limits["UnitType"] == "InstanceFleetUnits"
    assert asked["AutoTerminationPolicy"] == {"IdleTimeout": 300}
    assert asked["Instances"]["TerminationProtected"] is False
    assert asked["SecurityConfiguration"] == "encryption"
    assert asked["LogUri"] == "s3://staging/logs/"
    assert {"Key": "fruits-stack", "Value": "fruits"} in asked["Tags"]
    assert {"Key": "fruits-worst-case-eur", "Value": "6.5000"} in asked["Tags"]
    assert [one["Name"] for one in asked["Applications"]] == ["Spark"]


def test_the_greatest_age_is_given_to_the_switch_on_the_cluster_itself() -> None:
    asked = cluster_request(settings(max_age_minutes=45), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    bootstrap = asked["BootstrapActions"][0]["ScriptBootstrapAction"]
    assert bootstrap == {
        "Path": "s3://staging/environment/b.sh",
        "Args": ["s3://staging/environment/a.tar.gz", "45", "eu-west-3"],
    }


def test_spot_is_for_core_nodes_and_never_for_the_master_and_is_not_waited_for_without_end() -> None:
    asked = cluster_request(settings(spot=True, provisioning_minutes=7), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    master, core = asked["Instances"]["InstanceFleets"]
    assert (master["TargetOnDemandCapacity"], core["TargetSpotCapacity"]) == (1, 2)
    assert "TargetSpotCapacity" not in master
    assert "TargetOnDemandCapacity" not in core
    timeout = {"TimeoutDurationMinutes": 7}
    assert core["LaunchSpecifications"] == {"SpotSpecification": {**timeout, "TimeoutAction": "TERMINATE_CLUSTER"}}
    assert core["ResizeSpecifications"] == {"SpotResizeSpecification": timeout}
    assert asked["ManagedScalingPolicy"]["ComputeLimits"]["MaximumOnDemandCapacityUnits"] == 0


@pytest.mark.parametrize("spot", [True, False])
def test_the_request_is_one_that_the_service_model_knows(spot: bool) -> None:
    asked = cluster_request(settings(spot=spot), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    model = boto3.client("emr", region_name="eu-west-3").meta.service_model.operation_model("RunJobFlow")
    assert model.input_shape
    assert ParamValidator().validate(asked, model.input_shape).generate_report() == ""


def test_jupyterhub_comes_only_when_asked_for_keeps_its_notebooks_in_s3_and_has_the_steps_python() -> None:
    asked = cluster_request(settings(jupyterhub=True), INFRASTRUCTURE, ENVIRONMENT, 6.5)
    assert "JupyterHub" in [one["Name"] for one in asked["Applications"]]
    properties = {one["Classification"]: one["Properties"] for one in asked["Configurations"]}
    assert properties["jupyter-s3-conf"]["s3.persistence.enabled"] == "true"
    assert properties["spark-defaults"]["spark.pyspark.python"] == "/opt/fruits/environment/bin/python"
    assert cluster_request(settings(), INFRASTRUCTURE, ENVIRONMENT, 6.5)["Configurations"] == []


def test_the_oldest_cluster_with_enough_life_left_is_taken_again() -> None:
    young, old, ageing = cluster("j-young", age=5), cluster("j-old", age=60), cluster("j-ageing", age=95)
    assert found(young, old, ageing) == old
    assert found(ageing) is None
    assert found(cluster(state="TERMINATING"), cluster(release="emr-7.1.0")) is None
    assert found(cluster(state="STARTING", age=1)) is not None


def test_a_cluster_made_with_other_things_is_not_taken_and_its_own_greatest_age_counts() -> None:
    assert found(cluster(fruits_environment="environment/older.tar.gz")) is None
    assert found(cluster(fruits_instance_type="m5.2xlarge")) is None
    assert found(cluster(age=29, fruits_max_age_minutes="30")) is None
    assert found(cluster(age=95, fruits_max_age_minutes="480")) is not None


def test_a_cluster_is_idle_since_its_last_step_and_not_while_one_waits_or_runs() -> None:
    assert idle_since(cluster(), [step("COMPLETED", ended=3), step("FAILED", ended=2)]) == NOW - timedelta(minutes=2)
    assert idle_since(cluster(), []) == NOW - timedelta(minutes=5)
    assert idle_since(cluster(), [step("COMPLETED", ended=3), step("PENDING")]) is None
    assert idle_since(cluster(state="BOOTSTRAPPING"), [step("PENDING")]) is None


def test_a_cluster_that_starts_without_a_step_has_been_abandoned() -> None:
    starting = cluster(state="STARTING", age=1)
    assert idle_since(starting, []) is not None
    assert idle_since(starting, [step("CANCELLED")]) is not None


def test_the_last_step_tells_whose_a_cluster_is() -> None:
    steps = [
        step("COMPLETED", name=job_name("raw_images", "mine", 0), ended=9),
        step("COMPLETED", name=job_name("raw_images", "theirs", 0), ended=2),
    ]
    assert last_run(steps) == "theirs"
    assert last_run([step("COMPLETED", name="typed by hand", ended=1), *steps]) is None
    assert last_run([]) is None


def test_a_step_that_is_being_cancelled_does_not_keep_its_cluster() -> None:
    cancelled = [step("COMPLETED", ended=3, step_id="s-1"), step("CANCEL_PENDING", step_id="s-2")]
    assert idle_since(cluster(), cancelled) is None
    assert idle_since(cluster(), cancelled, ignored={"s-2"}) == NOW - timedelta(minutes=3)


def test_a_steps_arguments_are_few_however_many_folders_there_are(s3: Any) -> None:
    # EMR takes 10,240 characters.
    staging = StepStaging(s3, "staging", "0" * 36, "mobilenet_features", attempt=1)
    words = command(settings(), staging, "mobilenet_features")
    assert sum(map(len, words)) < 2_000
    assert words[-2:] == [f"s3://staging/steps/{'0' * 36}/mobilenet_features/1/step.json", "eu-west-3"]


def test_jobs_of_finished_runs_are_orphans_and_those_of_unknown_runs_somebody_elses() -> None:
    jobs = [
        Job(JobRef("j-1", "s-dead"), JobState.RUNNING, "dead"),
        Job(JobRef("j-1", "s-alive"), JobState.QUEUED, "alive"),
        Job(JobRef("j-1", "s-elsewhere"), JobState.RUNNING, "elsewhere"),
        Job(JobRef("j-1", "s-done"), JobState.SUCCEEDED, "dead"),
        Job(JobRef("j-1", "s-hand"), JobState.RUNNING, None),
    ]
    runs = {"dead": dg.DagsterRunStatus.FAILURE, "alive": dg.DagsterRunStatus.STARTED}
    assert orphans(jobs, runs) == jobs[:1]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        made = boto3.client("s3", region_name="eu-west-3")
        made.create_bucket(Bucket="staging", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
        yield made


def test_of_many_that_want_the_lock_at_once_each_has_it_alone(s3: Any) -> None:
    holders, most = 0, 0

    def work() -> None:
        nonlocal holders, most
        with s3_lock.held(s3, "staging", "locks/money.json", patience=30):
            holders += 1
            most = max(most, holders)
            time.sleep(0.05)
            holders -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert "Contents" not in s3.list_objects_v2(Bucket="staging")


def test_a_lock_that_is_held_too_long_is_told_in_a_sentence(s3: Any) -> None:
    with (
        s3_lock.held(s3, "staging", "lock", patience=0),
        pytest.raises(FruitsError, match="Another process holds the lock s3://staging/lock"),
        s3_lock.held(s3, "staging", "lock", patience=0),
    ):
        pass


def test_a_lock_is_renewed_while_it_is_held(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_lock, "STALE_SECONDS", 2)
    monkeypatch.setattr(s3_lock, "RENEWED_AFTER_SECONDS", 0.2)
    with s3_lock.held(s3, "staging", "lock", patience=0) as check_held:
        time.sleep(4)
        with pytest.raises(FruitsError, match="Another process holds"), s3_lock.held(s3, "staging", "lock", patience=0):
            pass
        check_held()
    time.sleep(0.5)
    assert "Contents" not in s3.list_objects_v2(Bucket="staging")


def test_a_lock_that_was_taken_over_is_told_and_stays_the_others(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_lock, "RENEWED_AFTER_SECONDS", 0.1)
    other = b'{"owner": "another"}'
    with s3_lock.held(s3, "staging", "lock", patience=0) as check_held:
        s3.put_object(Bucket="staging", Key="lock", Body=other)
        time.sleep(0.5)
        with pytest.raises(FruitsError, match="s3://staging/lock was lost, because this machine was asleep"):
            check_held()
    assert s3.get_object(Bucket="staging", Key="lock")["Body"].read() == other


def test_a_lock_whose_holder_was_killed_is_taken_over(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="staging", Key="lock", Body=b'{"owner": "killed"}')
    monkeypatch.setattr(s3_lock, "STALE_SECONDS", -1)
    with s3_lock.held(s3, "staging", "lock", patience=0):
        assert b"killed" not in s3.get_object(Bucket="staging", Key="lock")["Body"].read()


def test_a_call_that_must_not_be_made_twice_is_looked_for_when_its_answer_is_lost() -> None:
    calls: list[str] = []

    def create() -> str:
        calls.append("j-1")
        raise ReadTimeoutError(endpoint_url="https://emr")

    assert call_at_most_once(create, lambda: calls[0]) == "j-1"
    assert calls == ["j-1"]


def test_a_refusal_is_not_tried_again() -> None:
    def refuse() -> str:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "RunJobFlow")

    with pytest.raises(ClientError):
        call_at_most_once(refuse, lambda: "j-1")


def test_a_lock_whose_put_was_answered_by_nobody_is_still_the_holders(s3: Any) -> None:
    body = b'{"owner": "me"}'
    s3.put_object(Bucket="staging", Key="lock", Body=body)
    assert s3_lock._taken(s3, "staging", "lock", "me")
    assert not s3_lock._taken(s3, "staging", "lock", "somebody")
