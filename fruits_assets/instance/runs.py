"""Runs in this process that the UI shows on its timeline and on the page of their job, like runs that it starts."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from fruits_assets.instance.internals import (
    SINGLETON_REPOSITORY_NAME,
    InMemoryJob,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    execute_run,
)

# The name of the code location in fruits ui, dagster dev and workspace.yaml.
CODE_LOCATION = "fruits_assets.definitions"


def origin_of(job: str) -> RemoteJobOrigin:
    """Returns the remote origin of a job: the UI's timeline and the page of the job leave out runs without it."""
    location = RegisteredCodeLocationOrigin(CODE_LOCATION)
    return RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME).get_job_origin(job)


def run_in_process(
    job: dg.JobDefinition, run_config: Mapping[str, Any], tags: Mapping[str, str], instance: dg.DagsterInstance
) -> dg.JobExecutionResult:
    """Runs a job in this process and returns the result; a step that fails raises nothing.

    ``JobDefinition.execute_in_process`` does the same, but cannot give the run the remote origin of its job.

    Args:
        job: The job.
        run_config: The run configuration.
        tags: Tags of the run, besides those of the job.
        instance: The Dagster instance that keeps the run.
    """
    run = instance.create_run_for_job(
        job, run_config=run_config, tags={**job.run_tags, **tags}, remote_job_origin=origin_of(job.name)
    )
    return execute_run(InMemoryJob(job), run, instance)
