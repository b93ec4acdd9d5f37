"""What EMR asks for before it makes a cluster, on the emulator."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emr_emulator import Emulator

ACCOUNT = "123456789012"


M5 = {"InstanceType": "m5.xlarge"}


NODES_MAY: list[dict[str, Any]] = [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::emulated"},
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::emulated/*"},
    {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::emulated/Results/*"},
    {
        "Effect": "Allow",
        "Action": "elasticmapreduce:TerminateJobFlows",
        "Resource": f"arn:aws:elasticmapreduce:eu-west-3:{ACCOUNT}:cluster/*",
        "Condition": {"StringEquals": {"elasticmapreduce:ResourceTag/fruits-stack": "emulated"}},
    },
]


STEP = """
import importlib.util, os, sys
import in_the_zip
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
network = spark.sparkContext.broadcast(b"x" * 9_000_000)


def describe(number):
    import os, time
    time.sleep(1)  # So that one executor alone does not take all tasks.
    return number, os.environ["SPARK_EXECUTOR_DIRS"], len(network.value), in_the_zip.ANSWER


rows = spark.sparkContext.parallelize(range(4), 4).map(describe).toDF(["number", "executor", "size", "answer"])
lines = spark.read.text("s3://emulated/Test/lines.txt")
assert lines.count() == 2
rows.write.mode("overwrite").json("s3://emulated/Results/rows")
print("project", importlib.util.find_spec("fruits_assets"), importlib.util.find_spec("spark_steps"))
print("settings", [name for name in os.environ if name.startswith(("FRUITS_", "DAGSTER_"))])
"""


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Waits for a condition, and returns what made it true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.1)
    return value


def trust(service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"} if "." not in service else {"AWS": service}
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def shell(command: str, name: str = "shell") -> dict[str, Any]:
    """A step that needs no Spark, for tests of states."""
    return step("bash", "-c", command, name=name)


def step(*args: str, name: str = "step") -> dict[str, Any]:
    jar = {"Jar": "command-runner.jar", "Args": list(args)}
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}


@dataclass
class Account:
    """What a test needs of AWS, with everything EMR asks for made."""

    emulator: Emulator
    emr: Any
    s3: Any

    def run(self, name: str, **request: Any) -> str:
        instances: dict[str, Any] = {
            "InstanceFleets": [
                {"InstanceFleetType": "MASTER", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": [M5]},
                {"InstanceFleetType": "CORE", "TargetSpotCapacity": 2, "InstanceTypeConfigs": [M5]},
            ],
            "KeepJobFlowAliveWhenNoSteps": True,
        }
        defaults = {
            "ReleaseLabel": "emr-7.14.0",
            "ServiceRole": "emulated-service",
            "JobFlowRole": "emulated-nodes",
            "LogUri": "s3://emulated/logs/",
            "Instances": instances,
            "Tags": [{"Key": "fruits-stack", "Value": "emulated"}],
        }
        identity: str = self.emr.run_job_flow(Name=name, **{**defaults, **request})["JobFlowId"]
        return identity

    def state(self, cluster: str) -> str:
        return str(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    def wait(self, cluster: str, *states: str) -> dict[str, Any]:
        until(lambda: self.state(cluster) in states)
        status: dict[str, Any] = self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
        return status

    def add(self, cluster: str, *steps: dict[str, Any]) -> list[str]:
        ids: list[str] = self.emr.add_job_flow_steps(JobFlowId=cluster, Steps=list(steps))["StepIds"]
        return ids

    def step_status(self, cluster: str, step_id: str) -> dict[str, Any]:
        status: dict[str, Any] = self.emr.describe_step(ClusterId=cluster, StepId=step_id)["Step"]["Status"]
        return status

    def wait_step(self, cluster: str, step_id: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        until(lambda: self.step_status(cluster, step_id)["State"] in states, seconds)
        return self.step_status(cluster, step_id)

    def log(self, cluster: str, step_id: str, name: str) -> str:
        """Returns a log of a step that has ended, once it is uploaded whole."""

        def read(file: str) -> str:
            key = f"logs/{cluster}/steps/{step_id}/{file}.gz"
            if not self.s3.list_objects_v2(Bucket="emulated", Prefix=key).get("Contents"):
                return ""
            return gzip.decompress(self.s3.get_object(Bucket="emulated", Key=key)["Body"].read()).decode()

        until(lambda: "ended with exit code" in read("controller"))
        return read(name)

    def script(self, text: str) -> list[dict[str, Any]]:
        """A bootstrap action of this text."""
        self.s3.put_object(Bucket="emulated", Key="environment/script.sh", Body=text.encode())
        path = "s3://emulated/environment/script.sh"
        return [{"Name": "script", "ScriptBootstrapAction": {"Path": path, "Args": ["first"]}}]


@contextmanager
def refused(code: str, text: str) -> Iterator[None]:
    with pytest.raises(ClientError) as refusal:
        yield
    assert refusal.value.response["Error"]["Code"] == code
    assert text in refusal.value.response["Error"]["Message"]
