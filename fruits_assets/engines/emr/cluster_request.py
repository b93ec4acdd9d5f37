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
    master = _instance_group("MASTER", settings.instance_type, 1, "ON_DEMAND")
    core = _instance_group(
        "CORE", settings.instance_type, settings.core_nodes, "SPOT" if settings.spot else "ON_DEMAND"
    )
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
            "InstanceGroups": [master, core],
            "Ec2SubnetId": infrastructure.subnet_id,
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


def _instance_group(role: str, instance_type: str, count: int, market: str) -> dict[str, Any]:
    return {
        "Name": role.lower(),
        "InstanceRole": role,
        "InstanceType": instance_type,
        "InstanceCount": count,
        "Market": market,
    }


def _scaling(settings: Settings) -> dict[str, Any]:
    limits = {
        "UnitType": "Instances",
        "MinimumCapacityUnits": settings.core_nodes,
        "MaximumCapacityUnits": settings.max_core_nodes,
        "MaximumCoreCapacityUnits": settings.max_core_nodes,
    }
    return limits | ({"MaximumOnDemandCapacityUnits": 0} if settings.spot else {})


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
