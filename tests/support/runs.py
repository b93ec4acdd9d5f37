"""Runs that Dagster has on record, without a process behind them."""

import uuid
from collections.abc import Mapping

import dagster as dg


def create_run(
    instance: dg.DagsterInstance,
    *,
    status: dg.DagsterRunStatus,
    job_name: str = "some_job",
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """Puts a run on record."""
    return instance.add_run(dg.DagsterRun(job_name, run_id=str(uuid.uuid4()), status=status, tags=tags or {}))
