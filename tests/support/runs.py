"""Runs that Dagster has on record: made without a process behind them, and what their checks have found."""

import uuid
from collections.abc import Mapping

import dagster as dg
from dagster import DagsterInstance


def create_run(
    instance: dg.DagsterInstance,
    *,
    status: dg.DagsterRunStatus,
    job_name: str = "some_job",
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """Puts a run on record."""
    return instance.add_run(dg.DagsterRun(job_name, run_id=str(uuid.uuid4()), status=status, tags=tags or {}))


def checks_of(instance: DagsterInstance) -> dict[str, tuple[bool, str]]:
    found = {}
    for run_record in reversed(instance.get_runs()):
        for entry in instance.all_logs(run_record.run_id):
            event = entry.dagster_event
            if event and event.event_type_value == "ASSET_CHECK_EVALUATION":
                evaluation = event.asset_check_evaluation_data
                found[evaluation.check_name] = (evaluation.passed, evaluation.description or "")
    return found
