"""The request with which Glue starts a run of the stack's job."""

from typing import Any

from fruits_assets.aws.infrastructure import RUN_ARGUMENT, STACK_ARGUMENT, Infrastructure
from fruits_assets.engines.engine import JobRequest
from fruits_assets.engines.spark_conf import spark_conf
from fruits_assets.engines.staging import CODE, DOCUMENT
from fruits_assets.money.dpus import workers
from fruits_assets.money.jobs.workers import megabytes
from fruits_assets.settings import Settings
from spark_steps.step_main import DOCUMENT_OPTION, REGION_OPTION


def run_request(request: JobRequest, infrastructure: Infrastructure) -> dict[str, Any]:
    """Returns the arguments of StartJobRun.

    Args:
        request: The step, with its staging prefix and its environment.
        infrastructure: The outputs of the stack.
    """
    settings, staging = request.settings, request.staging
    size = workers.size_of(settings)
    conf = run_conf(settings)
    return {
        "JobName": infrastructure.glue_job,
        "WorkerType": size.kind,
        # The most: Glue adds and removes workers by itself.
        "NumberOfWorkers": size.workers,
        "Timeout": settings.step_minutes,
        "ExecutionClass": "STANDARD",
        "Arguments": {
            "--scriptLocation": staging.uri(staging.main_name),
            "--extra-py-files": staging.uri(CODE),
            "--python-virtual-env": f"s3://{infrastructure.staging_bucket}/{request.environment.standalone}",
            # Glue's own form for more than one: all of them are the value of one argument.
            "--conf": " --conf ".join(f"{name}={value}" for name, value in conf.items()),
            DOCUMENT_OPTION: staging.uri(DOCUMENT),
            REGION_OPTION: settings.region,
            STACK_ARGUMENT: settings.stack,
            RUN_ARGUMENT: request.name,
        },
    }


def run_conf(settings: Settings) -> dict[str, str]:
    """Returns Spark's settings of a run; Glue bounds the number of executors by that of the workers."""
    size, heap = workers.size_of(settings), megabytes(settings.executor_memory)
    return {
        # All that the worker has, for it is paid for.
        "spark.executor.memoryOverhead": f"{size.executor_megabytes - heap}m",
        "spark.default.parallelism": str(workers.cores_of(settings)),
        **spark_conf(settings),
    }
