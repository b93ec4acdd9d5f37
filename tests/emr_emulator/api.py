"""The actions of the EMR API: what they check, and the shapes of their answers."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.emr_emulator.clusters import ENDED, STEP_ENDED, Cluster, Instance, Step, World

RELEASES = re.compile(r"emr-(5\.(\d|[12]\d|3[0-6])|6\.(\d|1[0-5])|7\.(\d|1[0-4]))\.\d")
# Small, so that whoever reads one page only is found out. EMR's own pages hold 50.
PAGE = {"Clusters": 2, "Steps": 10, "Instances": 2, "InstanceGroups": 2}
MOST_STEPS = 256
MOST_ARGUMENT_CHARACTERS = 10_240
IDLE_TIMEOUTS = range(60, 604_801)


class ApiError(Exception):
    """An error in the words of the AWS API."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    """Returns the error for a request that cannot be."""
    return ApiError("ValidationException", message)


def unknown(message: str) -> ApiError:
    """Returns the error for an id that is not known."""
    return ApiError("InvalidRequestException", message)


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
            raise invalid("The emulator has no instance fleets.")
        groups = instances.get("InstanceGroups", [])
        roles = Counter(group.get("InstanceRole") for group in groups)
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
            check_managed_scaling(policy)
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
        if subnet := instances.get("Ec2SubnetId"):
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
            "RequestedEc2SubnetIds": [instances["Ec2SubnetId"]] if "Ec2SubnetId" in instances else [],
            "Ec2AvailabilityZone": f"{region}a",
            "IamInstanceProfile": asked["JobFlowRole"],
            "EmrManagedMasterSecurityGroup": instances.get("EmrManagedMasterSecurityGroup"),
            "EmrManagedSlaveSecurityGroup": instances.get("EmrManagedSlaveSecurityGroup"),
        }
        with cluster.lock:
            described = {
                **summary(cluster),
                "Ec2InstanceAttributes": {name: value for name, value in attributes.items() if value is not None},
                "InstanceCollectionType": "INSTANCE_GROUP",
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
        """ListClusters."""
        states = request.get("ClusterStates") or None
        after, before = float(request.get("CreatedAfter", 0)), float(request.get("CreatedBefore", 1e12))
        found = [
            summary(cluster)
            for cluster in sorted(self.clusters.values(), key=lambda one: one.created, reverse=True)
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
        check_managed_scaling(request.get("ManagedScalingPolicy", {}))
        cluster = self.find_open(region, request.get("ClusterId"))
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
        """ListInstances."""
        cluster = self.find(region, request.get("ClusterId"))
        group, types, states = (
            request.get(name) for name in ("InstanceGroupId", "InstanceGroupTypes", "InstanceStates")
        )
        with cluster.lock:
            found = [
                describe_instance(one, region)
                for one in cluster.instances
                if (not group or one.group == group)
                and (not types or one.role in types)
                and (not states or one.state in states)
            ]
        return page(found, "Instances", request)

    def do_list_instance_groups(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListInstanceGroups."""
        cluster = self.find(region, request.get("ClusterId"))
        with cluster.lock:
            found = [
                {
                    "Id": group["Id"],
                    "Name": group["Name"],
                    "Market": group["Market"],
                    "InstanceGroupType": group["InstanceRole"],
                    "InstanceType": group["InstanceType"],
                    "RequestedInstanceCount": int(group["InstanceCount"]),
                    "RunningInstanceCount": sum(
                        one.group == group["Id"] and one.state == "RUNNING" for one in cluster.instances
                    ),
                    "Status": {
                        "State": "TERMINATED"
                        if cluster.state in ENDED
                        else "RUNNING"
                        if cluster.ready
                        else "PROVISIONING"
                    },
                }
                for group in cluster.groups
            ]
        return page(found, "InstanceGroups", request)

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
        """ListSteps: the newest first."""
        cluster = self.find(region, request.get("ClusterId"))
        states, ids = request.get("StepStates"), request.get("StepIds")
        if ids and len(ids) > 10:
            raise invalid("Member must have length less than or equal to 10")
        with cluster.lock:
            found = [
                describe_step(step)
                for step in reversed(cluster.steps)
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


def summary(cluster: Cluster) -> dict[str, Any]:
    """Returns what ListClusters and DescribeCluster both say of a cluster."""
    timeline = {"CreationDateTime": cluster.created, "ReadyDateTime": cluster.ready, "EndDateTime": cluster.ended}
    end = cluster.ended or time.time()
    hours = sum(int(group["InstanceCount"]) for group in cluster.groups) * (1 + int((end - cluster.created) // 3600))
    return {
        "Id": cluster.id,
        "Name": cluster.request["Name"],
        "Status": {
            "State": cluster.state,
            "StateChangeReason": cluster.reason,
            "Timeline": {name: value for name, value in timeline.items() if value},
        },
        "NormalizedInstanceHours": 8 * hours if cluster.ready else 0,
        "ClusterArn": cluster.arn,
    }


def describe_instance(instance: Instance, region: str) -> dict[str, Any]:
    """Returns an instance in ListInstances' form."""
    timeline = {"CreationDateTime": instance.created, "ReadyDateTime": instance.ready, "EndDateTime": instance.ended}
    return {
        "Id": instance.emr_id,
        "Ec2InstanceId": instance.id,
        "PublicDnsName": "",
        "PrivateDnsName": f"ip-10-0-0-1.{region}.compute.internal",
        "PrivateIpAddress": "127.0.0.1",
        "Status": {
            "State": instance.state,
            "StateChangeReason": instance.reason,
            "Timeline": {name: value for name, value in timeline.items() if value},
        },
        "InstanceGroupId": instance.group,
        "Market": instance.market,
        "InstanceType": instance.kind,
        "EbsVolumes": [],
    }


def describe_step(step: Step) -> dict[str, Any]:
    """Returns a step in DescribeStep's form."""
    jar = step.config["HadoopJarStep"]
    timeline = {"CreationDateTime": step.created, "StartDateTime": step.started, "EndDateTime": step.ended}
    status: dict[str, Any] = {
        "State": step.state,
        "StateChangeReason": step.reason,
        "Timeline": {name: value for name, value in timeline.items() if value},
    }
    if step.failure:
        status["FailureDetails"] = {name: value for name, value in step.failure.items() if value}
    return {
        "Id": step.id,
        "Name": step.config["Name"],
        "Config": {"Jar": jar["Jar"], "Properties": {}, "Args": step.args},
        "ActionOnFailure": step.config.get("ActionOnFailure", "TERMINATE_CLUSTER"),
        "Status": status,
    }


def page(found: list[dict[str, Any]], name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Returns one page of a list, and the marker of the next."""
    marker = str(request.get("Marker", "0"))
    if not marker.isdigit():
        raise unknown(f"Invalid marker: {marker}")
    begin, size = int(marker), PAGE[name]
    answer: dict[str, Any] = {name: found[begin : begin + size]}
    if begin + size < len(found):
        answer["Marker"] = str(begin + size)
    return answer


def check_steps(configs: list[dict[str, Any]], concurrency: int) -> None:
    """Refuses steps that EMR refuses."""
    if len(configs) > MOST_STEPS:
        raise invalid("A maximum of 256 steps are allowed in each request.")
    for config in configs:
        jar = config.get("HadoopJarStep", {})
        if jar.get("Jar") != "command-runner.jar":
            raise invalid(f"The emulator runs command-runner.jar only, not {jar.get('Jar')}.")
        if not jar.get("Args"):
            raise invalid("command-runner.jar needs a command in Args.")
        if sum(len(argument) for argument in jar["Args"]) > MOST_ARGUMENT_CHARACTERS:
            raise invalid(
                f"1 validation error detected: the arguments of the step {config.get('Name')} hold more than "
                f"{MOST_ARGUMENT_CHARACTERS} characters."
            )
        if config.get("ActionOnFailure") == "CANCEL_AND_WAIT" and concurrency > 1:
            raise invalid("ActionOnFailure CANCEL_AND_WAIT is not allowed when StepConcurrencyLevel is greater than 1.")


def check_idle_timeout(policy: dict[str, Any]) -> None:
    """Refuses an idle timeout outside of what EMR takes."""
    if policy.get("IdleTimeout") not in IDLE_TIMEOUTS:
        raise invalid(f"IdleTimeout must be between 60 and 604800 seconds, and is {policy.get('IdleTimeout')}.")


def check_managed_scaling(policy: dict[str, Any]) -> None:
    """Refuses limits that contradict each other."""
    limits = policy.get("ComputeLimits", {})
    if limits.get("UnitType") not in ("Instances", "VCPU", "InstanceFleetUnits"):
        raise invalid(f"Managed scaling knows no unit {limits.get('UnitType')}.")
    if limits["UnitType"] != "Instances":
        raise invalid("The emulator scales by Instances only.")
    least, most = int(limits.get("MinimumCapacityUnits", 0)), int(limits.get("MaximumCapacityUnits", 0))
    if not 1 <= least <= most:
        raise invalid(f"MinimumCapacityUnits ({least}) must be at least 1 and at most MaximumCapacityUnits ({most}).")
    for name in ("MaximumOnDemandCapacityUnits", "MaximumCoreCapacityUnits"):
        if name in limits and not 0 <= int(limits[name]) <= most:
            raise invalid(f"{name} ({limits[name]}) must be at most MaximumCapacityUnits ({most}).")
    if int(limits.get("MaximumCoreCapacityUnits", most)) < least:
        raise invalid("MaximumCoreCapacityUnits must be at least MinimumCapacityUnits.")
