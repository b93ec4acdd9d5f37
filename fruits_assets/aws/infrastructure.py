"""What the CloudFormation stack has made, read from its outputs: the one place where names come from."""

from dataclasses import dataclass, fields

from fruits_assets.aws.sessions import client, error_code, translate_errors
from spark_steps.errors import FruitsError

STACK_TAG = "fruits-stack"
MANAGED_POLICIES_TAG = "for-use-with-amazon-emr-managed-policies"


@dataclass(frozen=True)
class Infrastructure:
    """The outputs of the stack, each under its own name in CamelCase (``data_bucket`` is ``DataBucket``).

    Attributes:
        data_bucket: Holds ``Test/``, ``Results/``, ``PCA_Results/`` and ``Erasures/``.
        staging_bucket: Holds ``steps/``, ``environment/``, ``locks/`` and ``logs/``.
        service_role: Name of the role that EMR itself works under.
        instance_profile: Name of the nodes' instance profile.
        launcher_role_arn: The role that people and schedulers launch under.
        subnet_id: Where clusters stand.
        primary_security_group: Of the master.
        core_security_group: Of the core nodes.
        security_configuration: Name of EMR's encryption settings.
    """

    data_bucket: str
    staging_bucket: str
    service_role: str
    instance_profile: str
    launcher_role_arn: str
    subnet_id: str
    primary_security_group: str
    core_security_group: str
    security_configuration: str

    @classmethod
    def of_stack(cls, stack: str, region: str) -> "Infrastructure":
        """Reads the outputs of a stack.

        Args:
            stack: Its name.
            region: Where it is.

        Raises:
            FruitsError: There is no such stack, it is not complete, or it cannot be read.
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
    """Returns the name of the stack's output for a field: ``subnet_id`` is ``SubnetId``."""
    return "".join(part.capitalize() for part in field.split("_"))
