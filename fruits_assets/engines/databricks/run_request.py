"""The request with which a workspace runs a step once, on a job cluster of its own."""

import hashlib
from typing import Any

from fruits_assets.aws.infrastructure import STACK_TAG, Infrastructure
from fruits_assets.engines.databricks.policy import RUNTIME
from fruits_assets.engines.engine import JobRequest
from fruits_assets.engines.spark_conf import spark_conf
from fruits_assets.engines.staging import CODE, DOCUMENT
from fruits_assets.money.dbus import workers
from fruits_assets.money.dbus.prices import ADDED_GIGABYTES
from fruits_assets.settings import Settings
from spark_steps.step_main import CODE_OPTION, DOCUMENT_OPTION, REGION_OPTION

TASK = "step"
# Below the staging bucket, where a rule deletes them after some time.
LOGS = "logs/databricks"


def idempotency_token(request: JobRequest) -> str:
    """Returns what makes the same request the same run: 64 characters, the most that Databricks takes."""
    return hashlib.sha256(f"{request.settings.stack} {request.name}".encode()).hexdigest()


def logs_of(name: str, bucket: str) -> str:
    """Returns where the logs of a run's cluster go; a folder for each node is below the id of the cluster.

    Args:
        name: Of the run: step, run and attempt.
        bucket: The staging bucket.
    """
    return f"s3://{bucket}/{LOGS}/{name.replace(' ', '-').replace('[', '__').replace(']', '__')}"


def run_request(request: JobRequest, infrastructure: Infrastructure, policy_id: str) -> dict[str, Any]:
    """Returns the body of runs/submit.

    Args:
        request: The step, with its staging prefix and its environment.
        infrastructure: The outputs of the stack.
        policy_id: The stack's cluster policy.
    """
    settings, staging = request.settings, request.staging
    # Not as a task of spark-submit, which Databricks gives to nobody anew; so the program fetches its code itself.
    parameters = [DOCUMENT_OPTION, staging.uri(DOCUMENT), REGION_OPTION, settings.region]
    parameters += [CODE_OPTION, staging.uri(CODE)]
    seconds = workers.timeout_minutes(settings) * 60
    task = {
        "task_key": TASK,
        "timeout_seconds": seconds,
        # Launchers try again themselves: a step that Databricks repeats would record everything twice.
        "max_retries": 0,
        "spark_python_task": {"python_file": staging.uri(staging.main_name), "parameters": parameters},
        "new_cluster": _cluster(request, infrastructure, policy_id),
    }
    return {
        "run_name": request.name,
        "idempotency_token": idempotency_token(request),
        "timeout_seconds": seconds,
        "tasks": [task],
    }


def _cluster(request: JobRequest, infrastructure: Infrastructure, policy_id: str) -> dict[str, Any]:
    settings, bucket = request.settings, infrastructure.staging_bucket
    size = workers.size_of(settings)

    def in_s3(destination: str, **more: Any) -> dict[str, Any]:
        return {"s3": {"destination": destination, "region": settings.region, **more}}

    return {
        "policy_id": policy_id,
        "spark_version": RUNTIME,
        "node_type_id": size.node_type,
        "driver_node_type_id": size.node_type,
        "num_workers": size.workers,
        # Dedicated to whoever the run belongs to: what runs there has the rights of the instance profile.
        "data_security_mode": "SINGLE_USER",
        "runtime_engine": "STANDARD",
        "aws_attributes": {
            "instance_profile_arn": infrastructure.databricks_profile_arn,
            "availability": "ON_DEMAND",
            "zone_id": "auto",
            "ebs_volume_type": "GENERAL_PURPOSE_SSD",
            "ebs_volume_count": 1,
            "ebs_volume_size": ADDED_GIGABYTES,
        },
        "spark_conf": run_conf(settings),
        "spark_env_vars": {
            "FRUITS_ENVIRONMENT": f"s3://{bucket}/{request.environment.archive}",
            "FRUITS_REGION": settings.region,
        },
        "init_scripts": [in_s3(f"s3://{bucket}/{request.environment.init_script}")],
        "cluster_log_conf": in_s3(logs_of(request.name, bucket), enable_encryption=True),
        "custom_tags": {STACK_TAG: settings.stack, "Project": "fruits"},
    }


def run_conf(settings: Settings) -> dict[str, str]:
    """Returns Spark's settings of a run's cluster."""
    return {"spark.default.parallelism": str(workers.cores_of(settings)), **spark_conf(settings)}
