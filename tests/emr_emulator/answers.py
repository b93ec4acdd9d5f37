"""The shapes of the EMR API's answers."""

import time
from typing import Any

from tests.emr_emulator.checks import (
    unknown,
)
from tests.emr_emulator.cluster.life import Cluster
from tests.emr_emulator.cluster.world import Instance, Step

# Small, so that whoever reads one page only is found out. EMR's own pages hold 50.
PAGE = {"Clusters": 2, "Steps": 10, "Instances": 2}


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


def describe_instance(instance: Instance, region: str, collection: str) -> dict[str, Any]:
    """Returns an instance in ListInstances' form, as one of a ``Group`` or a ``Fleet``."""
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
        f"Instance{collection}Id": instance.group,
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
