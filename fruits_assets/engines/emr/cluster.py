"""The life cycle of a cluster: found if one is active, created if there is none, given steps, and ended when idle."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.environment import Environment
from fruits_assets.aws.infrastructure import MAX_AGE_TAG, STACK_TAG, Infrastructure
from fruits_assets.aws.sessions import NEVER_TWICE, call_at_most_once, client, s3_resource, translate_errors
from fruits_assets.engines.emr.cluster_request import (
    ENVIRONMENT_TAG,
    INSTANCE_TYPE_TAG,
    cluster_name,
    cluster_request,
)
from fruits_assets.engines.emr.end_schedules import EndSchedules
from fruits_assets.engines.emr.failures import cause_of_end
from fruits_assets.engines.emr.steps import (
    UNFINISHED_STEPS,
    Step,
    cancel_steps,
    is_of_an_ending_cluster,
    last_run,
    steps_of,
)
from fruits_assets.money.allowance import LOCK_PATIENCE, Allowance, allowance
from fruits_assets.money.budget import CLUSTER, worst_case_eur
from fruits_assets.money.costs import ClusterCostModel
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

ACTIVE_STATES = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
# Share of the maximum age that must be left for a cluster to get new work.
_LEAST_LIFE_LEFT = 0.25
_SECONDS_TO_BE_ENDING = 30.0


@dataclass(frozen=True)
class Cluster:
    """A cluster of the stack.

    Attributes:
        id: ``j-...``.
        state: EMR's state of the cluster.
        created: When it was requested.
        ready: When it was ready to take steps, None before.
        tags: Tags of the cluster.
        release: EMR release.
    """

    id: str
    state: str
    created: datetime
    ready: datetime | None
    tags: dict[str, str]
    release: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Cluster":
        """Returns the cluster that a response of DescribeCluster describes."""
        timeline = described["Status"]["Timeline"]
        return cls(
            id=described["Id"],
            state=described["Status"]["State"],
            created=timeline["CreationDateTime"],
            ready=timeline.get("ReadyDateTime"),
            tags={tag["Key"]: tag["Value"] for tag in described.get("Tags", [])},
            release=described.get("ReleaseLabel", ""),
        )

    @property
    def ends_by(self) -> datetime | None:
        """When its schedules end it, None for a cluster that this platform did not create."""
        age = self.tags.get(MAX_AGE_TAG)
        return self.created + timedelta(minutes=int(age)) if age else None


def reusable(
    clusters: Iterable[Cluster], settings: Settings, environment: Environment, now: datetime
) -> Cluster | None:
    """Returns the oldest cluster that can take more steps, None where there is none.

    A cluster with another release, another instance type or another environment is not used, nor one with less than a
    quarter of its maximum age left.
    """
    asked = {ENVIRONMENT_TAG: environment.archive, INSTANCE_TYPE_TAG: settings.instance_type}
    fit = [
        one
        for one in clusters
        if one.state in ACTIVE_STATES
        and one.release == settings.emr_release
        and asked.items() <= one.tags.items()
        and one.ends_by
        and one.ends_by - now > (one.ends_by - one.created) * _LEAST_LIFE_LEFT
    ]
    return min(fit, key=lambda one: one.created, default=None)


def idle_since(cluster: Cluster, steps: Collection[Step], ignored: Collection[str] = ()) -> datetime | None:
    """Returns since when a cluster has been idle; None while it has an unfinished step.

    A cluster without any step counts as idle even while it starts: a cluster is created and gets its first step under
    one lock, so the process that created it has failed in between.

    Args:
        cluster: The cluster.
        steps: The cluster's steps.
        ignored: Ids of steps that are being cancelled.
    """
    if any(step.state in UNFINISHED_STEPS and step.id not in ignored for step in steps):
        return None
    ended = [step.ended for step in steps if step.ended]
    return max([*ended, cluster.ready or cluster.created])


class Clusters:
    """The clusters of a stack.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        created: Ids of the clusters that were created by this object and not ended by it, the oldest first.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
        with translate_errors("open a client of s3"):
            self.s3 = s3_resource(settings.region).get_client()
        self.emr = client("emr", settings.region)
        self._emr_once = client("emr", settings.region, NEVER_TWICE)
        role_arn = self.infrastructure.guard_role_arn
        self.schedules = EndSchedules(client("scheduler", settings.region), settings.stack, role_arn)
        self.created: list[str] = []

    def active(self) -> list[Cluster]:
        """Returns the stack's clusters that have not ended and are not ending."""
        with translate_errors("list the clusters"):
            pages = self.emr.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE_STATES))
            listed = [one for page in pages for one in page["Clusters"]]
            # A cluster that is not the stack's may have the same name, so the tag decides. The filter by name saves a
            # DescribeCluster for each of the other clusters.
            named = [one["Id"] for one in listed if one["Name"] == cluster_name(self.settings.stack)]
            found = [self.describe(cluster_id)[0] for cluster_id in named]
        return [one for one in found if one.tags.get(STACK_TAG) == self.settings.stack and one.state in ACTIVE_STATES]

    def describe(self, cluster_id: str) -> tuple[Cluster, dict[str, str]]:
        """Returns a cluster and the reason of its state: EMR's Code and Message."""
        with translate_errors(f"describe the cluster {cluster_id}"):
            described = self.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        return Cluster.of(described), described["Status"].get("StateChangeReason", {})

    def steps(self, cluster_id: str) -> list[Step]:
        """Returns all steps of a cluster."""
        return steps_of(self.emr, cluster_id)

    def locked(self, patience: float = LOCK_PATIENCE) -> AbstractContextManager[Allowance]:
        """Returns the account's lock, under which clusters are chosen, created and ended."""
        return allowance(self.settings, self.s3, self.infrastructure.lock_bucket, patience)

    def submit(
        self, environment: Environment, prepare: Callable[[str], dict[str, Any]], report: Callable[[str], None]
    ) -> tuple[str, str]:
        """Adds a step to an active cluster, or to a new one where there is none.

        One lock covers all of it: two runs that start together use one cluster, and no process ends a cluster that
        another has just found and not yet used. A cluster gets no step before it has its end schedules. So one whose
        process is killed in between is idle, and EMR's idle limit ends it.

        Args:
            environment: The environment that the cluster's nodes must have.
            prepare: Takes the cluster's id, stages the step, and returns its StepConfig for AddJobFlowSteps.
            report: Takes progress messages, a line at a time.

        Returns:
            Ids of the cluster and of the step.

        Raises:
            FruitsError: The budget does not allow another cluster, AWS refuses a request, the new cluster cannot
                have end schedules and is ended at once, or EMR cannot launch it.
        """
        with self.locked() as allowed:
            ending: set[str] = set()
            while True:
                active = [one for one in self.active() if one.id not in ending]
                cluster = reusable(active, self.settings, environment, clock.now())
                if cluster and cluster.ends_by:
                    report(f"cluster {cluster.id} is there ({cluster.state.lower()})")
                    # The process that created it may have ended before it had made them.
                    self.schedules.create(cluster.id, cluster.ends_by)
                before = {one.id for one in active}
                cluster_id = cluster.id if cluster else self._create(allowed, environment, before, report)
                step_id = self._add(cluster_id, prepare(cluster_id))
                if step_id:
                    return cluster_id, step_id
                if cluster is None:
                    # EMR accepts a request first, and may find then that it cannot launch it: so it would another.
                    raise FruitsError(self._why_it_ended(cluster_id, report))
                report(f"cluster {cluster_id} is ending; another is taken")
                ending.add(cluster_id)

    def _add(self, cluster_id: str, step: dict[str, Any]) -> str | None:
        """Adds a step and returns its id; None if the cluster takes no more steps because it is ending."""

        def add() -> str:
            return str(self._emr_once.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step])["StepIds"][0])

        def added() -> str | None:
            return next((one.id for one in self.steps(cluster_id) if one.name == step["Name"]), None)

        with translate_errors(f"add a step to {cluster_id}"):
            try:
                return call_at_most_once(add, added)
            except ClientError as error:
                if is_of_an_ending_cluster(error):
                    return None
                raise

    def _create(
        self, allowed: Allowance, environment: Environment, before: Collection[str], report: Callable[[str], None]
    ) -> str:
        settings = self.settings
        worst = worst_case_eur(settings, read_prices(settings))
        allowed.ask(worst, CLUSTER)
        request = cluster_request(settings, self.infrastructure, environment, worst)

        def create() -> str:
            return str(self._emr_once.run_job_flow(**request)["JobFlowId"])

        def created() -> str | None:
            return next((one.id for one in self.active() if one.id not in before), None)

        allowed.check_held()
        with translate_errors("create a cluster"):
            cluster_id = call_at_most_once(create, created)
        self.created.append(cluster_id)
        allowed.created(cluster_id)
        try:
            age = timedelta(minutes=settings.max_age_minutes)
            self.schedules.create(cluster_id, self.describe(cluster_id)[0].created + age)
        except FruitsError as error:
            why = "nothing outside of it would end it at its maximum age"
            raise FruitsError(f"{self._end_at_once(cluster_id, why)} {error}") from error
        report(
            f"cluster {cluster_id} is being created: 1 + {settings.core_nodes} {settings.instance_type}, about 7 min; "
            f"at most {worst:.2f} EUR, for it is ended at an age of {settings.max_age_minutes} minutes"
        )
        return cluster_id

    def _why_it_ended(self, cluster_id: str, report: Callable[[str], None]) -> str:
        """Returns why EMR has ended a new cluster, and forgets it."""
        self.created.remove(cluster_id)
        self.schedules.remove(cluster_id, report)
        return f"Cluster {cluster_id} has ended before it got a step: {cause_of_end(self.describe(cluster_id)[1])}"

    def _end_at_once(self, cluster_id: str, why: str) -> str:
        """Ends a cluster that has got no step; returns what was done as sentences."""
        try:
            self.terminate([cluster_id])
        except FruitsError as error:
            return f"Cluster {cluster_id} could not be ended, although {why}: {error} {self._until_idle()}"
        return f"Cluster {cluster_id} is ended at once, because {why}:"

    def _until_idle(self) -> str:
        return f"Being idle, it is ended by EMR after {self.settings.idle_minutes} minutes; look with fruits clusters."

    def end_unseen(self, cluster_ids: Collection[str], why: FruitsError, report: Callable[[str], None]) -> None:
        """Ends clusters without a look at what they do.

        Args:
            cluster_ids: Of clusters that no run of this Dagster instance needs.
            why: Why they cannot be looked at.
            report: Takes progress messages, a line at a time.

        Raises:
            FruitsError: A cluster cannot be ended; the message says what ends it.
        """
        for cluster_id in cluster_ids:
            with suppress(FruitsError):
                # If that is permitted, and steps are what may not be looked at.
                if self.describe(cluster_id)[0].state not in ACTIVE_STATES:
                    continue
            try:
                self.terminate([cluster_id])
            except FruitsError as error:
                raise FruitsError(f"Cluster {cluster_id} could not be ended: {error} {self._until_idle()}") from error
            report(f"cluster {cluster_id} is ended without a look whether it has more to do: {why}")

    def cost_model(self, cluster_id: str) -> ClusterCostModel:
        """Returns the cost model of a cluster: with its running core nodes, or the requested ones before any runs."""
        with translate_errors(f"list the nodes of {cluster_id}"):
            pages = self.emr.get_paginator("list_instances").paginate(
                ClusterId=cluster_id, InstanceFleetType="CORE", InstanceStates=["RUNNING"]
            )
            running = sum(len(page["Instances"]) for page in pages)
        prices = read_prices(self.settings)
        return ClusterCostModel(
            cluster_id=cluster_id,
            nodes={"master": 1, "core": running or self.settings.core_nodes},
            instance_type=self.settings.instance_type,
            eur_per_node_hour=prices.node_hour(self.settings.instance_type),
            prices=prices.computed_from,
        )

    def cancel(self, cluster_id: str, step_ids: list[str]) -> None:
        """Asks EMR to cancel steps, as ``cancel_steps`` does."""
        cancel_steps(self.emr, cluster_id, step_ids)

    def terminate(self, cluster_ids: list[str]) -> None:
        """Ends clusters."""
        with translate_errors(f"terminate {', '.join(cluster_ids)}"):
            self.emr.terminate_job_flows(JobFlowIds=cluster_ids)
        self.created = [one for one in self.created if one not in cluster_ids]

    def end_idle(
        self,
        report: Callable[[str], None],
        *,
        is_ours: Callable[[str], bool],
        grace: timedelta = timedelta(0),
        ignored: Collection[str] = (),
        patience: float = LOCK_PATIENCE,
    ) -> None:
        """Ends the stack's clusters that are idle and whose last step belongs to a run of this Dagster instance.

        An idle cluster of another Dagster instance may be between two steps. EMR's idle limit ends it if it is not.

        Args:
            report: Takes progress messages, a line at a time.
            is_ours: Returns whether the run of an id belongs to this Dagster instance.
            grace: How long a cluster may be idle.
            ignored: Ids of steps that have sent their last event, or are being cancelled.
            patience: Seconds to wait for the lock.

        Raises:
            FruitsError: EMR refuses to end one of them, such as for its termination protection; the others are ended.
        """
        with self.locked(patience):
            idle = [one.id for one in self.active() if self._is_idle(one, is_ours, grace, ignored)]
            ended, refused = self._terminate_each(idle)
            left = self._wait_until_ending(ended) if ended else set[str]()
        for cluster_id in ended:
            report(f"cluster {cluster_id} has nothing more to do and is ended")
            # One that EMR does not list as ending keeps them until it is.
            if cluster_id not in left:
                self.schedules.remove(cluster_id, report)
        for problem in refused[1:]:
            report(str(problem))
        if refused:
            raise refused[0]

    def _terminate_each(self, cluster_ids: Sequence[str]) -> tuple[list[str], list[FruitsError]]:
        """Ends clusters by a request each, and returns those that end and what went wrong with the others."""
        ended, refused = list[str](), list[FruitsError]()
        for cluster_id in cluster_ids:
            try:
                self.terminate([cluster_id])
                ended.append(cluster_id)
            except FruitsError as error:
                refused.append(error)
        return ended, refused

    def _is_idle(
        self, cluster: Cluster, is_ours: Callable[[str], bool], grace: timedelta, ignored: Collection[str]
    ) -> bool:
        steps = self.steps(cluster.id)
        since = idle_since(cluster, steps, ignored)
        # A step may have ended within the second to which the time is known.
        if since is None or max(clock.now() - since, timedelta(0)) < grace:
            return False
        finished = [step for step in steps if step.ended]
        return not finished or is_ours(last_run(steps) or "")

    def _wait_until_ending(self, cluster_ids: list[str]) -> set[str]:
        """Waits under the lock until EMR lists the clusters as ending: else the next process would use one of them.

        Returns:
            Those that it does not list as ending in time.
        """
        deadline = time.monotonic() + _SECONDS_TO_BE_ENDING
        while (left := {one.id for one in self.active()} & set(cluster_ids)) and time.monotonic() < deadline:
            time.sleep(1)
        return left
