"""The stack of infra/fruits.yaml in the emulator, and what moto's CloudFormation leaves out of any stack."""

import json
import tempfile
from pathlib import Path
from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.parsing import clean_json
from moto.scheduler.models import scheduler_backends

from fruits_assets.aws.environment import BOOTSTRAP, CURRENT, INIT_SCRIPT, PYTHON, installed_versions
from fruits_assets.aws.lock_bucket import put_lock_bucket
from fruits_assets.sample_photos import write_sample
from tests.emr_emulator.cluster.world import ACCOUNT, World
from tests.emr_emulator.glue import job
from tests.emr_emulator.iam.authorization import Authorization, backend
from tests.emr_emulator.serverless import application

REGION, STACK = "eu-west-3", "fruits"
# The calls after which a stack may have other resources.
CHANGES = {"CreateStack", "UpdateStack", "ExecuteChangeSet"}


def make_stack(world: World, project: Path) -> dict[str, str]:
    """Creates the stack by CloudFormation, and returns its outputs.

    Args:
        world: Of the emulator.
        project: Root of the repository.
    """
    assert application.ApplicationResource.cloudformation_type(), "moto knows it once it is imported"
    assert job.JobResource.cloudformation_type()
    cloudformation: Any = world.client("cloudformation", REGION)
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=(project / "infra" / "fruits.yaml").read_text(),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK)
    made = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made}
    s3: Any = world.client("s3", REGION)
    for name in ("DataBucket", "StagingBucket"):
        # CloudFormation's are ignored by moto.
        blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=outputs[name], PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    put_lock_bucket(s3, outputs["LockBucket"], ACCOUNT, REGION)
    stage_environment(s3, outputs["StagingBucket"])
    return outputs


def stage_environment(s3: Any, bucket: str) -> None:
    """Puts down what ``fruits deploy`` uploads, with an archive that nobody unpacks: ``venv`` has another stand in."""
    archive, bootstrap = f"environment/fruits-python{PYTHON}-stand-in.tar.gz", "environment/bootstrap.sh"
    standalone = f"environment/fruits-standalone-python{PYTHON}-stand-in.tar.gz"
    current = {"archive": archive, "bootstrap": bootstrap, "python": PYTHON, "packages": installed_versions()}
    current["standalone"] = standalone
    current["init_script"] = "environment/databricks.sh"
    s3.put_object(Bucket=bucket, Key=current["init_script"], Body=INIT_SCRIPT.read_bytes())
    s3.put_object(Bucket=bucket, Key=standalone, Body=b"unpacked by nobody")
    s3.put_object(Bucket=bucket, Key=archive, Body=b"unpacked by nobody")
    s3.put_object(Bucket=bucket, Key=bootstrap, Body=BOOTSTRAP.read_bytes())
    s3.put_object(Bucket=bucket, Key=CURRENT, Body=json.dumps(current).encode())


def put_photos(world: World, bucket: str) -> None:
    """Puts generated photos of eight fruits below ``Test/``."""
    s3: Any = world.client("s3", REGION)
    with tempfile.TemporaryDirectory() as scratch:
        write_sample(Path(scratch))
        for file in Path(scratch).rglob("*.*"):
            s3.upload_file(str(file), bucket, f"Test/{file.relative_to(scratch)}")


def complete_stacks(authorization: Authorization, region: str) -> None:
    """Does what moto passes over: managed policies of roles, policies of buckets, and groups of schedules.

    The latter are kept apart from moto, whose S3 would apply them even where nothing is enforced, conditions wrongly.

    Args:
        authorization: Decides over the policies of buckets.
        region: Of the stacks.
    """
    for stack in cloudformation_backends[ACCOUNT][region].stacks.values():
        resources: Any = stack.resource_map
        for name, resource in resources._resource_json_map.items():
            if resource["Type"] == "AWS::S3::BucketPolicy":
                properties = clean_json(resource["Properties"], resources)
                authorization.bucket_policies[properties["Bucket"]] = properties["PolicyDocument"]
            elif resource["Type"] == "AWS::Scheduler::ScheduleGroup":
                group = clean_json(resource["Properties"]["Name"], resources)
                if group not in (known := scheduler_backends[ACCOUNT][region]).schedule_groups:
                    known.create_schedule_group(group, [])
            elif resource["Type"] == "AWS::IAM::Role" and (role := resources._parsed_resources.get(name)) is not None:
                for arn in clean_json(resource["Properties"].get("ManagedPolicyArns", []), resources):
                    if arn not in role.managed_policies:
                        backend().attach_role_policy(arn, role.name)
