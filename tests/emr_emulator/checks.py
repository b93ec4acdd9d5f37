"""What the EMR API refuses, and the errors that say so."""

from typing import Any

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


def check_fleets(instances: dict[str, Any]) -> None:
    """Refuses fleets that EMR refuses."""
    if "InstanceGroups" in instances or "Ec2SubnetId" in instances:
        raise invalid("Instance fleets go with neither InstanceGroups nor Ec2SubnetId; Ec2SubnetIds is theirs.")
    for fleet in instances["InstanceFleets"]:
        kind, spot = fleet["InstanceFleetType"], int(fleet.get("TargetSpotCapacity", 0))
        count = spot + int(fleet.get("TargetOnDemandCapacity", 0))
        if count < 1 or (kind == "MASTER" and count != 1):
            raise invalid(f"The target capacity of the {kind} fleet cannot be {count}.")
        if len(fleet.get("InstanceTypeConfigs", [])) != 1 or (spot and spot != count):
            raise invalid("The emulator has fleets of one instance type and one market.")
        if specification := fleet.get("LaunchSpecifications", {}).get("SpotSpecification"):
            if specification.get("TimeoutAction") not in ("TERMINATE_CLUSTER", "SWITCH_TO_ON_DEMAND"):
                raise invalid(f"There is no TimeoutAction {specification.get('TimeoutAction')}.")
            if not 5 <= int(specification.get("TimeoutDurationMinutes", 0)) <= 1440:
                raise invalid("TimeoutDurationMinutes must be between 5 and 1440.")
        for resize in fleet.get("ResizeSpecifications", {}).values():
            if not 5 <= int(resize.get("TimeoutDurationMinutes", 5)) <= 10_080:
                raise invalid("TimeoutDurationMinutes must be between 5 and 10080.")


def check_managed_scaling(policy: dict[str, Any], unit: str) -> None:
    """Refuses limits that contradict each other.

    Args:
        policy: Of managed scaling.
        unit: ``InstanceFleetUnits`` for a cluster of fleets, else ``Instances``.
    """
    limits = policy.get("ComputeLimits", {})
    if limits.get("UnitType") not in ("Instances", "VCPU", "InstanceFleetUnits"):
        raise invalid(f"Managed scaling knows no unit {limits.get('UnitType')}.")
    if limits["UnitType"] != unit:
        raise invalid(f"The managed scaling of this cluster has the unit {unit}, not {limits['UnitType']}.")
    least, most = int(limits.get("MinimumCapacityUnits", 0)), int(limits.get("MaximumCapacityUnits", 0))
    if not 1 <= least <= most:
        raise invalid(f"MinimumCapacityUnits ({least}) must be at least 1 and at most MaximumCapacityUnits ({most}).")
    for name in ("MaximumOnDemandCapacityUnits", "MaximumCoreCapacityUnits"):
        if name in limits and not 0 <= int(limits[name]) <= most:
            raise invalid(f"{name} ({limits[name]}) must be at most MaximumCapacityUnits ({most}).")
    if int(limits.get("MaximumCoreCapacityUnits", most)) < least:
        raise invalid("MaximumCoreCapacityUnits must be at least MinimumCapacityUnits.")
