"""The names of the CloudFormation stack's resources, read from its outputs; they are defined nowhere else."""

from dataclasses import dataclass, fields
from pathlib import Path

from fruits_assets.aws.sessions import client, error_code, translate_errors
from spark_steps.errors import FruitsError

TEMPLATE = Path(__file__).parent.parent.parent / "infra" / "fruits.yaml"
STACK_TAG = "fruits-stack"
# Tags of a cluster with its greatest age, and with the most that it costs from its creation to its end, in euros.
MAX_AGE_TAG, WORST_CASE_TAG = "fruits-max-age-minutes", "fruits-worst-case-eur"
# Arguments of a run of the Glue job, which has no tags: the stack that started it, and the step that it runs.
STACK_ARGUMENT, RUN_ARGUMENT = "--fruits-stack", "--fruits-run"
MANAGED_POLICIES_TAG = "for-use-with-amazon-emr-managed-policies"


@dataclass(frozen=True)
class Infrastructure:
    """The outputs of the stack, each under its own name in CamelCase (``data_bucket`` is ``DataBucket``).

    Attributes:
        data_bucket: Holds ``Test/``, ``Results/``, ``PCA_Results/`` and ``Erasures/``.
        staging_bucket: Holds ``steps/``, ``environment/`` and ``logs/``.
        lock_bucket: Holds the lock of all stacks of the account; none of them makes it (``lock_bucket``).
        service_role: Name of EMR's service role.
        instance_profile: Name of the nodes' instance profile.
        launcher_role_arn: ARN of the role that people and schedulers assume to launch steps.
        guard_role_arn: ARN of the role with which EventBridge Scheduler ends clusters.
        subnet_id: Subnet of the clusters.
        primary_security_group: Security group of the master.
        core_security_group: Security group of the core nodes.
        security_configuration: Name of EMR's encryption settings.
        serverless_application: Id of EMR Serverless' application.
        job_role_arn: ARN of the role of its jobs.
        glue_job: Name of the Glue job.
        glue_role_arn: ARN of the role of its runs.
        glue_logs: Prefix of its groups of logs in CloudWatch.
        databricks_profile_arn: ARN of the instance profile of nodes of Databricks.
        databricks_role_arn: ARN of the role that these have by it.
    """

    data_bucket: str
    staging_bucket: str
    lock_bucket: str
    service_role: str
    instance_profile: str
    launcher_role_arn: str
    guard_role_arn: str
    subnet_id: str
    primary_security_group: str
    core_security_group: str
    security_configuration: str
    serverless_application: str
    job_role_arn: str
    glue_job: str
    glue_role_arn: str
    glue_logs: str
    databricks_profile_arn: str
    databricks_role_arn: str

    @classmethod
    def of_stack(cls, stack: str, region: str) -> "Infrastructure":
        """Reads the outputs of a stack.

        Args:
            stack: Name of the stack.
            region: Region of the stack.

        Raises:
            FruitsError: There is no such stack, an output is missing, or it cannot be read.
        """
        remedy = "Make it: fruits deploy"
        with translate_errors(f"read the stack {stack} in {region}"):
            cloudformation = client("cloudformation", region)
            try:
                stacks = cloudformation.describe_stacks(StackName=stack)["Stacks"]
            except cloudformation.exceptions.ClientError as error:
                if error_code(error) != "ValidationError":
                    raise
                raise FruitsError(f"There is no stack {stack} in {region}. {remedy}") from error
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", [])}
        named = {field.name: output_name(field.name) for field in fields(cls)}
        if missing := [name for name in named.values() if name not in outputs]:
            raise FruitsError(
                f"The stack {stack} in {region} ({stacks[0]['StackStatus']}) has no output {', '.join(missing)}. "
                + remedy
            )
        return cls(**{name: outputs[output] for name, output in named.items()})


def output_name(field: str) -> str:
    """Returns the name of the stack's output for a field: ``SubnetId`` for ``subnet_id``."""
    return "".join(part.capitalize() for part in field.split("_"))
