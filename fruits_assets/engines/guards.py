"""Guards against a forgotten cluster and a forgotten step.

There are three against a cluster, and none needs another: EMR's own idle limit, the sensor here together with the end
of each run (``launcher.FruitsEmrStepLauncher.release``), and the switch that ``infra/bootstrap.sh`` sets on the cluster
itself, which ends it at its greatest age even if every laptop is off.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg

from fruits_assets.engines.emr.cluster import IDLE_GRACE, UNFINISHED_STEPS, Clusters, Step
from fruits_assets.engines.launcher import KEEP_CLUSTER_TAG, others_in_flight, runs_of
from fruits_assets.instance.internals import FINISHED_STATUSES
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


def orphans(steps: Collection[Step], runs: Mapping[str, dg.DagsterRunStatus]) -> list[str]:
    """Returns the ids of steps that nobody waits for any more, because their run is over.

    Args:
        steps: Of a cluster.
        runs: State of the runs of this Dagster instance; steps of other runs are somebody else's.
    """
    return [
        step.id for step in steps if step.state in UNFINISHED_STEPS and runs.get(step.run_id or "") in FINISHED_STATUSES
    ]


@dg.sensor(
    minimum_interval_seconds=30,
    # Running from the start, unlike all other automation: this one only ever ends things.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cancels steps whose run is over, and ends clusters that have nothing to do.",
)
def cluster_guard_sensor(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
    """Looks at the stack's clusters; a cluster of other people's runs is idle only when EMR says so."""
    actions: list[str] = []
    try:
        clusters = Clusters(settings)
        for cluster in clusters.active():
            steps = clusters.steps(cluster.id)
            if lost := orphans(steps, states_of_runs(steps, context.instance)):
                clusters.cancel(cluster.id, lost)
                actions.append(f"Steps {', '.join(lost)} of {cluster.id} are cancelled: their runs are over.")
        if not others_in_flight(context.instance, timedelta(minutes=settings.max_age_minutes)):
            ours = runs_of(context.instance)
            clusters.end_idle(actions.append, is_ours=ours, grace=IDLE_GRACE, patience=10)
    except FruitsError as error:
        return dg.SkipReason(str(error))
    return dg.SkipReason(" ".join(actions) or "No cluster is idle.")


def states_of_runs(steps: Collection[Step], instance: dg.DagsterInstance) -> dict[str, dg.DagsterRunStatus]:
    """Returns the states of the runs of unfinished steps, as far as this instance knows them."""
    ids = {step.run_id for step in steps if step.run_id and step.state in UNFINISHED_STEPS}
    known = (instance.get_run_by_id(run_id) for run_id in ids)
    return {run.run_id: run.status for run in known if run}


# A step says that it is done some seconds before EMR does.
_PATIENCE_AT_END = 60.0


@contextmanager
def one_cluster_for_all(
    settings: Settings, instance: dg.DagsterInstance, report: Callable[[str], None]
) -> Iterator[dict[str, str]]:
    """Keeps the cluster between runs that follow each other, and ends it after the last.

    Args:
        settings: The platform's; nothing is done in other deployments than ``emr``.
        instance: Where the runs are.
        report: Takes what happens, a line at a time.

    Yields:
        Tags for the runs.
    """
    if settings.deployment != "emr":
        yield {}
        return
    try:
        yield {KEEP_CLUSTER_TAG: "true"}
    finally:
        try:
            _end_when_idle(Clusters(settings), instance, report)
        except FruitsError as error:
            report(f"  warning: the cluster is not ended now: {error}")


def _end_when_idle(clusters: Clusters, instance: dg.DagsterInstance, report: Callable[[str], None]) -> None:
    deadline = time.monotonic() + _PATIENCE_AT_END
    while clusters.active():
        if others_in_flight(instance, timedelta(minutes=clusters.settings.max_age_minutes)):
            report("  the cluster is kept: other runs are in flight")
            return
        clusters.end_idle(lambda line: report(f"  {line}"), is_ours=runs_of(instance))
        if time.monotonic() > deadline:
            report(f"  the cluster is busy with another step; idle, it ends after {clusters.settings.idle_minutes} min")
            return
        time.sleep(2)
