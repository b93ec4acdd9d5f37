"""The check of ``fruits doctor`` for quotas of vCPUs: AWS starts no instance beyond them, and new accounts have few."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fruits_assets.aws.sessions import translate_errors
from fruits_assets.money.costs import CORES_PER_NODE
from fruits_assets.money.jobs import workers
from fruits_assets.money.prices import xlarges
from fruits_assets.settings import Settings

# Of "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances" and of the Spot requests for these.
ON_DEMAND, SPOT = "L-1216C47A", "L-34B43A08"
# "Max concurrent vCPUs per account" of EMR Serverless. New accounts have 16, and a job that asks for more is ended.
SERVERLESS = "L-D05C8A75"
_STANDARD_FAMILY = re.compile(r"[acdhimrtz]\d")


@dataclass(frozen=True)
class Need:
    """The vCPUs of one quota that a cluster or a job takes.

    Attributes:
        quota: Code of the quota.
        market: ``On-Demand``, ``Spot`` or ``EMR Serverless``.
        at_start: vCPUs without which it does not start.
        at_most: vCPUs with all nodes that managed scaling may add.
        service: Code of the service.
        taker: What takes them.
    """

    quota: str
    market: str
    at_start: int
    at_most: int
    service: str = "ec2"
    taker: str = "cluster"


def needs(settings: Settings) -> list[Need]:
    """Returns what a cluster takes of each quota; nothing for what has quotas of its own: Glue, and GPUs.

    Args:
        settings: The deployment; instance type, number of nodes, Spot or not; or the executors of a job.
    """
    if settings.deployment == "emr-serverless":
        most = workers.DRIVER.vcpus + settings.max_executors * workers.executor(settings).vcpus
        return [Need(SERVERLESS, "of EMR Serverless", most, most, "emr-serverless", "job")]
    if settings.deployment == "glue" or not _STANDARD_FAMILY.match(settings.instance_type):
        return []
    each = math.ceil(CORES_PER_NODE * xlarges(settings.instance_type))
    if settings.deployment == "databricks":
        # Its nodes are instances of the account too.
        nodes = (1 + settings.max_executors) * each
        return [Need(ON_DEMAND, "On-Demand", nodes, nodes)]
    core, most = settings.core_nodes * each, settings.max_core_nodes * each
    if settings.spot:
        # The master is on demand.
        return [Need(ON_DEMAND, "On-Demand", each, each), Need(SPOT, "Spot", core, most)]
    return [Need(ON_DEMAND, "On-Demand", each + core, each + most)]


def read_quotas(quotas_client: Any, wanted: list[Need]) -> dict[str, float]:
    """Returns the vCPUs that each quota allows in the region, by its code.

    Args:
        quotas_client: boto3's client of Service Quotas.
        wanted: The quotas.

    Raises:
        FruitsError: They cannot be read.
    """
    with translate_errors("read the quotas of vCPUs (servicequotas:GetServiceQuota)"):
        answers = [quotas_client.get_service_quota(ServiceCode=need.service, QuotaCode=need.quota) for need in wanted]
    return {need.quota: float(answer["Quota"]["Value"]) for need, answer in zip(wanted, answers, strict=True)}


def judge_quotas(
    wanted: list[Need], allowed: Mapping[str, float], region: str
) -> tuple[Literal["ok", "warning", "failed"], str, str]:
    """Returns the outcome of the check, what was found, and the remedy.

    Without enough for the nodes that a cluster starts with it fails; without enough for those that managed scaling may
    add it warns.

    Args:
        wanted: What a cluster or a job takes.
        allowed: What each quota allows.
        region: Region of the cluster.
    """
    found = "; ".join(
        f"{allowed[need.quota]:g} vCPUs {need.market} ({need.quota}), a {need.taker} takes {need.at_start}"
        + (f" to {need.at_most}" if need.at_most > need.at_start else "")
        for need in wanted
    )
    found += f"; other {'instances' if wanted[0].service == 'ec2' else 'jobs'} of the account count too"
    ask = "; ".join(
        f"aws service-quotas request-service-quota-increase --region {region} --service-code {need.service} "
        f"--quota-code {need.quota} --desired-value {need.at_most}"
        for need in wanted
        if allowed[need.quota] < need.at_most
    )
    fewer = "Lower FRUITS_MAX_EXECUTORS. " if wanted[0].taker == "job" else ""
    if any(allowed[need.quota] < need.at_start for need in wanted):
        return "failed", f"no {wanted[0].taker} can start: {found}", f"{fewer}Ask for more, which may take a day: {ask}"
    if ask:
        return "warning", found, f"Lower FRUITS_MAX_CORE_NODES, or ask for more: {ask}"
    return "ok", found, ""
