"""Settings of what runs on AWS, and of its money."""

import re
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, Field

# The AWS regions in member states of the European Union; London (eu-west-2) and Zurich (eu-central-2) are not.
EU_REGIONS = ("eu-west-3", "eu-west-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2")


def _eu_region(region: str) -> str:
    if region not in EU_REGIONS:
        raise ValueError(f"photos stay in the European Union. Choose one of {', '.join(EU_REGIONS)}.")
    return region


def _x86_instance(instance_type: str) -> str:
    if not re.fullmatch(r"[a-z]+\d[a-z0-9-]*\.[a-z0-9-]+", instance_type):
        raise ValueError("this is no instance type. Give one such as m5.xlarge.")
    # A g after the generation is Graviton.
    if re.match(r"[a-z]+\d+g", instance_type):
        raise ValueError("the cluster's environment is for x86_64, and this is an ARM instance. Choose m5.xlarge, say.")
    return instance_type


class AwsOptions(BaseModel):
    """Where clusters and jobs run, their limits, and what they may cost."""

    # Cluster
    region: Annotated[str, AfterValidator(_eu_region)] = Field(
        "eu-west-3", description="AWS region of clusters and buckets; only regions in the European Union."
    )
    stack: str = Field(
        "fruits",
        pattern=r"^[a-z][a-z0-9-]{0,28}$",
        description="Name of the CloudFormation stack, and of its clusters.",
    )
    core_nodes: int = Field(2, ge=2, le=4, description="Core nodes that a cluster starts with.")
    max_core_nodes: int = Field(
        4,
        ge=2,
        le=4,
        # The second is the variable's former name.
        validation_alias=AliasChoices("FRUITS_MAX_CORE_NODES", "FRUITS_CORE_NODES_MOST"),
        description="Core nodes that managed scaling may reach.",
    )
    max_executors: int = Field(
        3,
        ge=1,
        le=32,
        description="Executors that a job of EMR Serverless, Glue or Databricks may have, besides its driver.",
    )
    spot: bool = Field(False, description="Spot instances for the core nodes; never for the master.")
    provisioning_minutes: int = Field(
        10,
        ge=5,
        le=60,
        description="EMR ends a new cluster that has not got its Spot instances after so long, and stops trying to add "
        "nodes to an older one.",
    )
    instance_type: Annotated[str, AfterValidator(_x86_instance)] = Field(
        "m5.xlarge", description="Instances of the cluster."
    )
    emr_release: str = Field("emr-7.14.0", pattern=r"^emr-7\.\d+\.\d+$", description="EMR release; 7 has Spark 3.5.")
    jupyterhub: bool = Field(False, description="JupyterHub on the cluster, its notebooks kept in S3.")
    keep_environments: int = Field(
        3,
        ge=1,
        le=100,
        description="Python environments of the nodes that are kept in the staging bucket, besides those in use.",
    )
    idle_minutes: int = Field(5, ge=1, le=60, description="EMR ends a cluster that has been idle for so long.")
    max_age_minutes: int = Field(120, ge=15, le=1440, description="A cluster is ended at this age, whatever it does.")
    log_minutes: int = Field(
        6,
        ge=0,
        le=15,
        description="How long to wait for the log of a step that ended without a reason; EMR uploads logs every 5 "
        "minutes.",
    )
    databricks: bool = Field(
        False,
        description="Look at the Databricks workspace of DATABRICKS_HOST, for its part of the month's spend and in "
        "fruits doctor, whichever engine runs the steps.",
    )
    step_minutes: int = Field(60, ge=1, le=1440, description="A step that runs for longer is cancelled.")
    step_retries: int = Field(
        1, ge=0, le=5, description="Times that a step is tried again which was lost with its driver, nodes or cluster."
    )

    # Money
    budget_eur: float = Field(10.0, ge=0, description="Most that clusters may cost in a calendar month.")
    databricks_dbu_usd: float = Field(
        0.20,
        gt=0,
        description="Dollars for a DBU of Databricks' jobs compute, by the contract; the default is the list price of "
        "its dearest plan.",
    )
    usd_to_eur: float = Field(0.92, gt=0, description="Euros for a dollar, for prices quoted in dollars.")
    vat_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        description="Value-added tax on AWS's bill, which its prices leave out; 0 where it is refunded.",
    )
