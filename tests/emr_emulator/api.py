"""The actions of the EMR API: what they check, and the shapes of their answers."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.emr_emulator.answers import describe_instance, describe_step, page, summary
from tests.emr_emulator.checks import (
    MOST_STEPS,
    ApiError,
    check_fleets,
    check_idle_timeout,
    check_managed_scaling,
    check_steps,
    invalid,
    unknown,
)
from tests.emr_emulator.cluster.life import Cluster
from tests.emr_emulator.cluster.world import ENDED, STEP_ENDED, Step, World

RELEASES = re.compile(r"emr-(5\.(\d|[12]\d|3[0-6])|6\.(\d|1[0-5])|7\.(\d|1[0-4]))\.\d")


LaunchProblem = Callable[[str, dict[str, Any], dict[str, dict[str, str]]], str]


class ElasticMapReduce:
    """EMR in all regions."""

    def __init__(self, world: World, launch_problem: LaunchProblem) -> None:
        self.world = world
        self.launch_problem = launch_problem
        self.clusters: dict[str, Cluster] = {}
        self.lock = threading.RLock()
        self.calls: Counter[str] = Counter()

    def call(self, action: str, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answers one request.

        Args:
            action: Such as RunJobFlow.
            region: That the client's credentials were scoped to.
            request: As in boto3.

        Raises:
            ApiError: What AWS would answer with.
        """
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower()
        handler: Callable[[str, dict[str, Any]], dict[str, Any] | None] | None = getattr(self, f"do_{name}", None)
        if handler is None:
            raise ApiError("UnknownOperationException", f"The emulator has no {action}.")
        return handler(region, request) or {}

    def find(self, region: str, cluster_id: Any) -> Cluster:
        """Returns a cluster of a region."""
        cluster = self.clusters.get(str(cluster_id))
        if cluster is None or cluster.region != region:
            raise unknown(f"Cluster id '{cluster_id}' is not valid.")
        return cluster

    def find_open(self, region: str, cluster_id: Any) -> Cluster:
        """Returns a cluster that is not ending."""
        cluster = self.find(region, cluster_id)
        if cluster.ending or cluster.state in (*ENDED, "TERMINATING"):
            raise invalid("A job flow that is shutting down, terminated, or finished may not be modified.")
        return cluster

    def find_step(self, cluster: Cluster, step_id: Any) -> Step:
        """Returns a step of a cluster."""
        for step in cluster.steps:
            if step.id == step_id:
                return step
        raise unknown(f"Step id '{step_id}' is not valid.")

    # Clusters

    def do_run_job_flow(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """RunJobFlow."""
        self._check_cluster(region, request)
        with self.lock:
            cluster = Cluster(self.world, region, request)
            self.clusters[cluster.id] = cluster
        if message := self._late_check(region, request):
            cluster.end("TERMINATED_WITH_ERRORS", "VALIDATION_ERROR", message)
        cluster.start()
        return {"JobFlowId": cluster.id, "ClusterArn": cluster.arn}

    def _check_cluster(self, region: str, request: dict[str, Any]) -> None:
        release = str(request.get("ReleaseLabel", ""))
        if not RELEASES.fullmatch(release):
            raise invalid(f"The supplied release label is invalid: {release or None}.")
        if not request.get("JobFlowRole"):
            raise invalid("InstanceProfile is required for creating cluster.")
        if not request.get("ServiceRole"):
            raise invalid("ServiceRole is required for creating cluster.")
        instances = request.get("Instances", {})
        if "InstanceFleets" in instances:
            check_fleets(instances)
        groups = instances.get("InstanceFleets") or instances.get("InstanceGroups", [])
        roles = Counter(group.get("InstanceRole") or group.get("InstanceFleetType") for group in groups)
        if groups and roles["MASTER"] != 1:
            raise invalid("Instance groups must include exactly one master instance group.")
        if groups and roles["CORE"] > 1:
            raise invalid("Must specify exactly one core instance group.")
        if not groups and not instances.get("MasterInstanceType"):
            raise invalid("Master instance type must be specified.")
        if not 1 <= int(request.get("StepConcurrencyLevel", 1)) <= MOST_STEPS:
            raise invalid("Step concurrency level must be between 1 and 256.")
        if len(request.get("Tags", [])) > 50:
            raise invalid("Too many tags specified, maximum allowed is 50.")
        if policy := request.get("AutoTerminationPolicy"):
            check_idle_timeout(policy)
        if policy := request.get("ManagedScalingPolicy"):
            check_managed_scaling(policy, "InstanceFleetUnits" if "InstanceFleets" in instances else "Instances")
        check_steps(request.get("Steps", []), int(request.get("StepConcurrencyLevel", 1)))
        iam = self.world.client("iam", region)
        profile = str(request["JobFlowRole"]).rpartition("/")[2]
        try:
            if not iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]:
                raise invalid(f"Invalid InstanceProfile: {profile}.")
        except iam.exceptions.NoSuchEntityException as error:
            raise invalid(f"Invalid InstanceProfile: {profile}.") from error
        role = str(request["ServiceRole"]).rpartition("/")[2]
        try:
            iam.get_role(RoleName=role)
        except iam.exceptions.NoSuchEntityException as error:
            raise invalid(f"Invalid ServiceRole: {role}.") from error

    def _late_check(self, region: str, request: dict[str, Any]) -> str:
        """Returns why a cluster that was accepted cannot start: these end it, RunJobFlow itself succeeds."""
        uri = str(request.get("LogUri", ""))
        if uri:
            bucket = re.sub(r"^s3[an]?://", "", uri).partition("/")[0]
            s3 = self.world.client("s3", region)
            if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
                return f"The log bucket {bucket} does not exist."
        ec2 = self.world.client("ec2", region)
        instances = request["Instances"]
        tags_of = {}
        if subnet := instances.get("Ec2SubnetId") or next(iter(instances.get("Ec2SubnetIds", [])), None):
            known = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["Subnets"]
            if not known:
                return f"The subnet ID '{subnet}' does not exist"
            tags_of[subnet] = {one["Key"]: one["Value"] for one in known[0].get("Tags", [])}
        for name in ("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup"):
            if group := instances.get(name):
                filters = [{"Name": "group-id", "Values": [group]}]
                known = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
                if not known:
                    return f"The security group '{group}' does not exist"
                tags_of[group] = {one["Key"]: one["Value"] for one in known[0].get("Tags", [])}
        return self.launch_problem(region, request, tags_of)

    def do_describe_cluster(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeCluster."""
        cluster = self.find(region, request.get("ClusterId"))
        asked = cluster.request
        instances = asked["Instances"]
        attributes = {
            "Ec2KeyName": instances.get("Ec2KeyName"),
            "Ec2SubnetId": instances.get("Ec2SubnetId"),
            "RequestedEc2SubnetIds": instances.get("Ec2SubnetIds") or [],
            "Ec2AvailabilityZone": f"{region}a",
            "IamInstanceProfile": asked["JobFlowRole"],
            "EmrManagedMasterSecurityGroup": instances.get("EmrManagedMasterSecurityGroup"),
            "EmrManagedSlaveSecurityGroup": instances.get("EmrManagedSlaveSecurityGroup"),
        }
        with cluster.lock:
            described = {
                **summary(cluster),
                "Ec2InstanceAttributes": {name: value for name, value in attributes.items() if value is not None},
                "InstanceCollectionType": "INSTANCE_FLEET" if cluster.has_fleets else "INSTANCE_GROUP",
                # EMR really answers with this scheme where it was given s3://.
                "LogUri": re.sub(r"^s3://", "s3n://", asked.get("LogUri", "")) or None,
                "ReleaseLabel": asked["ReleaseLabel"],
                "AutoTerminate": not cluster.keep_alive,
                "TerminationProtected": cluster.protected,
                "VisibleToAllUsers": True,
                "Applications": [{"Name": one["Name"]} for one in asked.get("Applications", [])],
                "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
                "ServiceRole": asked["ServiceRole"],
                "MasterPublicDnsName": "localhost" if cluster.ready else None,
                "Configurations": asked.get("Configurations", []),
                "SecurityConfiguration": asked.get("SecurityConfiguration"),
                "ScaleDownBehavior": asked.get("ScaleDownBehavior", "TERMINATE_AT_TASK_COMPLETION"),
                "EbsRootVolumeSize": asked.get("EbsRootVolumeSize"),
                "StepConcurrencyLevel": cluster.concurrency,
            }
        return {"Cluster": {name: value for name, value in described.items() if value is not None}}

    def do_list_clusters(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListClusters: in no order."""
        states = request.get("ClusterStates") or None
        after, before = float(request.get("CreatedAfter", 0)), float(request.get("CreatedBefore", 1e12))
        found = [
            summary(cluster)
            for cluster in sorted(self.clusters.values(), key=lambda one: one.id)
            if cluster.region == region and after < cluster.created < before and (not states or cluster.state in states)
        ]
        return page(found, "Clusters", request)

    def do_terminate_job_flows(self, region: str, request: dict[str, Any]) -> None:
        """TerminateJobFlows."""
        try:
            clusters = [self.find(region, one) for one in request.get("JobFlowIds", [])]
        except ApiError as error:
            raise invalid("Specified job flow ID does not exist.") from error
        protected = [cluster for cluster in clusters if cluster.protected and cluster.state not in ENDED]
        for cluster in clusters:
            if cluster not in protected:
                cluster.end("TERMINATED", "USER_REQUEST", "Terminated by user request")
        if protected:
            raise invalid("Could not shut down one or more job flows since they are termination protected.")

    def do_set_termination_protection(self, region: str, request: dict[str, Any]) -> None:
        """SetTerminationProtection."""
        for one in request.get("JobFlowIds", []):
            self.find_open(region, one).protected = bool(request.get("TerminationProtected"))

    def do_add_tags(self, region: str, request: dict[str, Any]) -> None:
        """AddTags."""
        cluster = self.find(region, request.get("ResourceId"))
        cluster.tags.update({one["Key"]: one.get("Value", "") for one in request.get("Tags", [])})

    def do_remove_tags(self, region: str, request: dict[str, Any]) -> None:
        """RemoveTags."""
        cluster = self.find(region, request.get("ResourceId"))
        for key in request.get("TagKeys", []):
            cluster.tags.pop(key, None)

    # Policies

    def do_put_auto_termination_policy(self, region: str, request: dict[str, Any]) -> None:
        """PutAutoTerminationPolicy."""
        check_idle_timeout(request.get("AutoTerminationPolicy", {}))
        self.find_open(region, request.get("ClusterId")).auto_termination = request["AutoTerminationPolicy"]

    def do_get_auto_termination_policy(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetAutoTerminationPolicy."""
        policy = self.find(region, request.get("ClusterId")).auto_termination
        return {"AutoTerminationPolicy": policy} if policy else {}

    def do_remove_auto_termination_policy(self, region: str, request: dict[str, Any]) -> None:
        """RemoveAutoTerminationPolicy."""
        self.find_open(region, request.get("ClusterId")).auto_termination = None

    def do_put_managed_scaling_policy(self, region: str, request: dict[str, Any]) -> None:
        """PutManagedScalingPolicy."""
        cluster = self.find_open(region, request.get("ClusterId"))
        unit = "InstanceFleetUnits" if cluster.has_fleets else "Instances"
        check_managed_scaling(request.get("ManagedScalingPolicy", {}), unit)
        cluster.managed_scaling = request["ManagedScalingPolicy"]
        cluster.keep_to_limits()

    def do_get_managed_scaling_policy(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetManagedScalingPolicy."""
        policy = self.find(region, request.get("ClusterId")).managed_scaling
        return {"ManagedScalingPolicy": policy} if policy else {}

    def do_remove_managed_scaling_policy(self, region: str, request: dict[str, Any]) -> None:
        """RemoveManagedScalingPolicy."""
        self.find_open(region, request.get("ClusterId")).managed_scaling = None

    # Instances

    def do_list_instances(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListInstances: in no order, and none that ended more than 30 days ago."""
        cluster = self.find(region, request.get("ClusterId"))
        collection = "Fleet" if cluster.has_fleets else "Group"
        if [name for name in request if name.startswith(f"Instance{'Group' if cluster.has_fleets else 'Fleet'}")]:
            raise unknown(f"Cluster {cluster.id} has instance {collection.lower()}s.")
        group, states = request.get(f"Instance{collection}Id"), request.get("InstanceStates")
        fleet_type = request.get("InstanceFleetType")
        types = request.get("InstanceGroupTypes") or ([fleet_type] if fleet_type else None)
        with cluster.lock:
            found = [
                describe_instance(one, region, collection)
                for one in sorted(cluster.instances, key=lambda one: one.id)
                if (not one.ended or time.time() - one.ended < 30 * 86_400)
                and (not group or one.group == group)
                and (not types or one.role in types)
                and (not states or one.state in states)
            ]
        return page(found, "Instances", request)

    # Steps

    def do_add_job_flow_steps(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """AddJobFlowSteps."""
        cluster = self.find_open(region, request.get("JobFlowId"))
        configs = request.get("Steps", [])
        check_steps(configs, cluster.concurrency)
        with cluster.lock:
            active = sum(step.state not in STEP_ENDED for step in cluster.steps)
            if active + len(configs) > MOST_STEPS:
                raise invalid(
                    "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster "
                    "exceeded."
                )
            steps = [Step(config) for config in configs]
            cluster.steps.extend(steps)
        return {"StepIds": [step.id for step in steps]}

    def do_describe_step(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeStep."""
        cluster = self.find(region, request.get("ClusterId"))
        with cluster.lock:
            return {"Step": describe_step(self.find_step(cluster, request.get("StepId")))}

    def do_list_steps(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListSteps: the newest first, those of some states or ids in no order."""
        cluster = self.find(region, request.get("ClusterId"))
        states, ids = request.get("StepStates"), request.get("StepIds")
        if ids and len(ids) > 10:
            raise invalid("Member must have length less than or equal to 10")
        with cluster.lock:
            listed = sorted(cluster.steps, key=lambda one: one.id) if states or ids else cluster.steps[::-1]
            found = [
                describe_step(step)
                for step in listed
                if (not states or step.state in states) and (not ids or step.id in ids)
            ]
        return page(found, "Steps", request)

    def do_cancel_steps(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """CancelSteps."""
        cluster = self.find_open(region, request.get("ClusterId"))
        option = request.get("StepCancellationOption", "SEND_INTERRUPT")
        answers = []
        for step_id in request.get("StepIds", []):
            reason = cluster.cancel(self.find_step(cluster, step_id), option)
            answers.append({"StepId": step_id, "Status": "FAILED" if reason else "SUBMITTED", "Reason": reason})
        return {"CancelStepsInfoList": answers}
