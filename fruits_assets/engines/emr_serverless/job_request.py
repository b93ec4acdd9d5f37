"""The request with which EMR Serverless starts a job."""

import hashlib
from typing import Any

from fruits_assets.aws.infrastructure import STACK_TAG, WORST_CASE_TAG, Infrastructure
from fruits_assets.engines.engine import JobRequest
from fruits_assets.engines.spark_conf import spark_conf
from fruits_assets.engines.staging import CODE, DOCUMENT
from fruits_assets.money.jobs import workers
from fruits_assets.settings import Settings

# Where driver and executors unpack the environment: in their working directory, under this name.
_ENVIRONMENT = "environment"
_PYTHON = f"./{_ENVIRONMENT}/bin/python"
LOGS = "logs/serverless"


def client_token(request: JobRequest) -> str:
    """Returns the token by which the service knows a repeated request; another attempt of the step has another."""
    return hashlib.sha256(f"{request.run_id} {request.step_key} {request.attempt}".encode()).hexdigest()[:64]


def job_request(request: JobRequest, infrastructure: Infrastructure, worst_case_eur: float) -> dict[str, Any]:
    """Returns the arguments of StartJobRun.

    Args:
        request: The step, with its staging prefix and its environment.
        infrastructure: The outputs of the stack.
        worst_case_eur: The most that the job costs, for those who share the budget.
    """
    settings, bucket = request.settings, infrastructure.staging_bucket
    conf = {**job_conf(settings), "spark.archives": f"s3://{bucket}/{request.environment.standalone}#{_ENVIRONMENT}"}
    conf["spark.submit.pyFiles"] = request.staging.uri(CODE)
    return {
        "applicationId": infrastructure.serverless_application,
        "clientToken": client_token(request),
        "executionRoleArn": infrastructure.job_role_arn,
        "name": request.name,
        "executionTimeoutMinutes": workers.timeout_minutes(settings),
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": request.staging.uri(request.staging.main_name),
                "entryPointArguments": [request.staging.uri(DOCUMENT), settings.region],
                "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in conf.items()),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {
                "s3MonitoringConfiguration": {"logUri": f"s3://{bucket}/{LOGS}/"},
                # Logs would be kept by the service too, where no rule of the stack deletes them.
                "managedPersistenceMonitoringConfiguration": {"enabled": False},
            }
        },
        "tags": {STACK_TAG: settings.stack, "Project": "fruits", WORST_CASE_TAG: f"{worst_case_eur:.4f}"},
    }


def job_conf(settings: Settings) -> dict[str, str]:
    """Returns Spark's settings of a job: its interpreter, its workers, and the bound on their number."""
    executor, heap = workers.executor(settings), workers.megabytes(settings.executor_memory)
    driver_overhead = workers.DRIVER_GIGABYTES * 1024 - workers.DRIVER_HEAP_MEGABYTES
    return {
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": _PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": _PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": _PYTHON,
        "spark.driver.cores": str(workers.DRIVER.vcpus),
        "spark.driver.memory": f"{workers.DRIVER_HEAP_MEGABYTES}m",
        "spark.driver.memoryOverhead": f"{driver_overhead}m",
        # All that is paid for: the size of a worker is rounded up.
        "spark.executor.memoryOverhead": f"{executor.gigabytes * 1024 - heap}m",
        "spark.default.parallelism": str(executor.vcpus * settings.max_executors),
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": str(min(workers.INITIAL_EXECUTORS, settings.max_executors)),
        # Spark's own bound is infinity.
        "spark.dynamicAllocation.maxExecutors": str(settings.max_executors),
        **spark_conf(settings),
    }
