"""Guards against clusters and steps that run although no run needs them.

Here are those that need a machine with this platform: a sensor, and the end of a run (see also
``launcher.FruitsEmrStepLauncher.release``). The others need none: EMR's own idle limit, EMR's limit for Spot instances
that it cannot have, the schedules of ``emr.end_schedules``, and the switch that ``infra/bootstrap.sh`` puts on the
cluster. EMR's idea of idle is not relied upon: a notebook keeps a cluster from being idle, and so does an unfinished
application of YARN.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg

from fruits_assets.engines.emr.cluster import IDLE_GRACE, Clusters
from fruits_assets.engines.emr.steps import CANCELLING, UNFINISHED_STEPS, Step
from fruits_assets.engines.launcher import KEEP_CLUSTER_TAG, others_in_flight, runs_of
from fruits_assets.instance.internals import FINISHED_STATUSES
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


def orphans(steps: Collection[Step], runs: Mapping[str, dg.DagsterRunStatus]) -> list[str]:
    """Returns the ids of unfinished steps whose run is over.

    Args:
        steps: The steps of a cluster.
        runs: States of the runs of this Dagster instance, by run id. Steps of other runs belong to other instances and
            are not returned.
    """
    return [
        step.id for step in steps if step.state in UNFINISHED_STEPS and runs.get(step.run_id or "") in FINISHED_STATUSES
    ]


@dg.sensor(
    minimum_interval_seconds=30,
    # Running by default, unlike the automation sensors: it only ends clusters and steps, and starts nothing.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cancels steps whose run is over, and ends clusters that have nothing to do.",
)
def cluster_guard_sensor(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
    """Looks at the stack's clusters; a cluster used last by another instance is left to EMR's idle limit."""
    actions: list[str] = []
    try:
        clusters = Clusters(settings)
        lost = _orphans_by_cluster(clusters, context.instance)
        for cluster_id, steps in lost.items():
            if asked := [step.id for step in steps if step.state != CANCELLING]:
                clusters.cancel(cluster_id, asked)
                actions.append(f"Steps {', '.join(asked)} of {cluster_id} are cancelled: their runs are over.")
        if not others_in_flight(context.instance, timedelta(minutes=settings.max_age_minutes)):
            ours = runs_of(context.instance)
            clusters.end_idle(actions.append, is_ours=ours, grace=IDLE_GRACE, ignored=_cancelling(lost), patience=10)
    except FruitsError as error:
        return dg.SkipReason(str(error))
    return dg.SkipReason(" ".join(actions) or "No cluster is idle.")


def _orphans_by_cluster(clusters: Clusters, instance: dg.DagsterInstance) -> dict[str, list[Step]]:
    found = {}
    for cluster in clusters.active():
        steps = clusters.steps(cluster.id)
        lost = orphans(steps, states_of_runs(steps, instance))
        found[cluster.id] = [step for step in steps if step.id in lost]
    return found


def _cancelling(lost: Mapping[str, list[Step]]) -> set[str]:
    """Returns the ids of the orphans that were cancelled and have not ended since: a cluster is ended with them."""
    return {step.id for steps in lost.values() for step in steps if step.state == CANCELLING}


def states_of_runs(steps: Collection[Step], instance: dg.DagsterInstance) -> dict[str, dg.DagsterRunStatus]:
    """Returns the states of the runs of unfinished steps, for the runs that this instance has records of."""
    ids = {step.run_id for step in steps if step.run_id and step.state in UNFINISHED_STEPS}
    known = (instance.get_run_by_id(run_id) for run_id in ids)
    return {run.run_id: run.status for run in known if run}


# A step sends its last event some seconds before EMR reports it as completed.
_PATIENCE_AT_END = 60.0


@contextmanager
def one_cluster_for_all(
    settings: Settings, instance: dg.DagsterInstance, report: Callable[[str], None]
) -> Iterator[dict[str, str]]:
    """Keeps the cluster between consecutive runs, and ends it after the last of them.

    Args:
        settings: The settings; in deployments other than ``emr`` nothing is done.
        instance: The Dagster instance of the runs.
        report: Takes progress messages, a line at a time.

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
        stuck = _cancelling(_orphans_by_cluster(clusters, instance))
        clusters.end_idle(lambda line: report(f"  {line}"), is_ours=runs_of(instance), ignored=stuck)
        if time.monotonic() > deadline:
            report(f"  the cluster is busy with another step; idle, it ends after {clusters.settings.idle_minutes} min")
            return
        time.sleep(2)
