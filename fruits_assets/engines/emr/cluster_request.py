"""The request with which EMR creates a cluster."""

from typing import Any

from fruits_assets.aws.environment import ENVIRONMENT_PYTHON, Environment
from fruits_assets.aws.infrastructure import (
    MANAGED_POLICIES_TAG,
    MAX_AGE_TAG,
    STACK_TAG,
    WORST_CASE_TAG,
    Infrastructure,
)
from fruits_assets.settings import Settings

# Tags with the settings that a cluster was created with: a process with other settings does not use it.
ENVIRONMENT_TAG, INSTANCE_TYPE_TAG = "fruits-environment", "fruits-instance-type"


def cluster_name(stack: str) -> str:
    """Returns the name of the stack's clusters."""
    return f"fruits-{stack}"


def cluster_request(
    settings: Settings, infrastructure: Infrastructure, environment: Environment, worst_case_eur: float
) -> dict[str, Any]:
    """Returns the arguments of RunJobFlow for a new cluster.

    Args:
        settings: Size, release, time limits.
        infrastructure: The outputs of the stack.
        environment: The Python environment that the nodes install.
        worst_case_eur: The most that the cluster costs, for those who share the budget.
    """
    staging = f"s3://{infrastructure.staging_bucket}"
    bootstrap = {
        "Path": f"{staging}/{environment.bootstrap}",
        "Args": [f"{staging}/{environment.archive}", str(settings.max_age_minutes), settings.region],
    }
    applications = ["Spark", "JupyterHub", "Livy"] if settings.jupyterhub else ["Spark"]
    return {
        "Name": cluster_name(settings.stack),
        "ReleaseLabel": settings.emr_release,
        "LogUri": f"{staging}/logs/",
        "Applications": [{"Name": name} for name in applications],
        "Configurations": _notebooks(infrastructure.staging_bucket) if settings.jupyterhub else [],
        "Instances": {
            "InstanceFleets": [
                _instance_fleet("MASTER", 1, settings, spot=False),
                _instance_fleet("CORE", settings.core_nodes, settings, settings.spot),
            ],
            "Ec2SubnetIds": [infrastructure.subnet_id],
            "EmrManagedMasterSecurityGroup": infrastructure.primary_security_group,
            "EmrManagedSlaveSecurityGroup": infrastructure.core_security_group,
            "KeepJobFlowAliveWhenNoSteps": True,
            # Termination protection would keep the guards from ending the cluster.
            "TerminationProtected": False,
        },
        "ManagedScalingPolicy": {"ComputeLimits": _scaling(settings)},
        "AutoTerminationPolicy": {"IdleTimeout": settings.idle_minutes * 60},
        "BootstrapActions": [{"Name": "environment", "ScriptBootstrapAction": bootstrap}],
        "SecurityConfiguration": infrastructure.security_configuration,
        "ServiceRole": infrastructure.service_role,
        "JobFlowRole": infrastructure.instance_profile,
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        "VisibleToAllUsers": True,
        "StepConcurrencyLevel": 1,
        "Tags": _tags(settings, environment, worst_case_eur),
    }


def _notebooks(bucket: str) -> list[dict[str, Any]]:
    """Returns the configuration of JupyterHub: notebooks kept in S3, and kernels with the environment's Python.

    The kernel PySpark sends each cell to Livy. Livy 0.8 starts the session's Python, driver and workers alike, from
    ``spark.pyspark.python`` before it looks at any variable, and passes on what spark-defaults has. EMR's own Python
    3.9 has none of the environment's packages. Steps name their Python themselves.
    """
    python = {"spark.pyspark.python": ENVIRONMENT_PYTHON, "spark.pyspark.driver.python": ENVIRONMENT_PYTHON}
    persistence = {"s3.persistence.enabled": "true", "s3.persistence.bucket": bucket}
    return [
        {"Classification": "jupyter-s3-conf", "Properties": persistence},
        {"Classification": "spark-defaults", "Properties": python},
    ]


def _instance_fleet(kind: str, count: int, settings: Settings, spot: bool) -> dict[str, Any]:
    """Returns a fleet of one instance type, each instance one unit of it.

    Fleets, because an instance group of Spot instances that EMR cannot have waits for ever, its master paid for. EMR
    takes no such limit for On-Demand instances of a new cluster; the end schedules bound that.
    """
    fleet: dict[str, Any] = {
        "Name": kind.lower(),
        "InstanceFleetType": kind,
        "TargetSpotCapacity" if spot else "TargetOnDemandCapacity": count,
        "InstanceTypeConfigs": [{"InstanceType": settings.instance_type, "WeightedCapacity": 1}],
    }
    timeout = {"TimeoutDurationMinutes": settings.provisioning_minutes}
    if spot:
        fleet["LaunchSpecifications"] = {"SpotSpecification": {**timeout, "TimeoutAction": "TERMINATE_CLUSTER"}}
    if kind == "CORE":
        fleet["ResizeSpecifications"] = {f"{'Spot' if spot else 'OnDemand'}ResizeSpecification": timeout}
    return fleet


def _scaling(settings: Settings) -> dict[str, Any]:
    return {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": settings.core_nodes,
        "MaximumCapacityUnits": settings.max_core_nodes,
        "MaximumCoreCapacityUnits": settings.max_core_nodes,
        "MaximumOnDemandCapacityUnits": 0 if settings.spot else settings.max_core_nodes,
    }


def _tags(settings: Settings, environment: Environment, worst_case_eur: float) -> list[dict[str, str]]:
    tags = {
        STACK_TAG: settings.stack,
        MANAGED_POLICIES_TAG: "true",
        "Project": "fruits",
        ENVIRONMENT_TAG: environment.archive,
        MAX_AGE_TAG: str(settings.max_age_minutes),
        INSTANCE_TYPE_TAG: settings.instance_type,
        WORST_CASE_TAG: f"{worst_case_eur:.4f}",
    }
    return [{"Key": key, "Value": value} for key, value in tags.items()]
