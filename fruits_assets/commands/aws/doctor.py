"""``fruits doctor``: checks everything that a run needs, with a remedy for each failed check."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import click
from botocore.exceptions import ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.environment import PYTHON, differences, installed_versions, read_environment
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.residency import check_bucket_region, check_residency, s3_places
from fruits_assets.aws.sessions import client, error_code, object_exists, translate_errors
from fruits_assets.commands.aws.deploy import who
from fruits_assets.commands.aws.engine_checks import (
    BY_HAND,
    check_application,
    check_cluster_policy,
    check_glue_job,
    check_guard_role,
    check_schedule_group,
    check_workspace,
)
from fruits_assets.commands.aws.permission_checks import check_permissions
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError
from spark_steps.features.names import IMAGENET, RANDOM_PREFIX
from spark_steps.features.weights import check_source
from spark_steps.spark.session import find_java_home
from spark_steps.storage.s3_address import bucket_and_key, endpoint, is_s3
from spark_steps.storage.s3_client import check_conditional_writes
from spark_steps.store.store import Store

State = Literal["ok", "warning", "failed", "not checked"]
MARKS: dict[State, str] = {"ok": "✓", "warning": "!", "failed": "✗", "not checked": "-"}
COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "failed": "red", "not checked": "bright_black"}
_MAY_NOT_LOOK = "unknown, these credentials may not look"
# The checks of the stack's resources, each of its own.
_OF_THE_STACK = (
    "data bucket",
    "staging bucket",
    "service role",
    "instance profile",
    "launcher role",
    "guard role",
    "schedule group",
    "job role",
    "application",
    "glue role",
    "glue job",
    "databricks role",
    "permissions",
    "environment",
)
_OF_AWS = (
    "region",
    "stack",
    *_OF_THE_STACK,
    "locations",
    "conditional writes",
    "weights",
    "quota",
    "budget",
)


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: Name of what was checked.
        state: Outcome of the check.
        detail: What was found.
        remedy: What to do, where there is something to do that the detail does not contain.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Yields the checks in order: credentials, everything on AWS, and this machine.

    Without credentials or without a stack, the checks that need them have the state "not checked".

    Args:
        settings: The settings to check.
    """
    credentials = _checked("credentials", lambda: _credentials(settings))
    yield credentials
    if credentials.state == "ok":
        yield from _examine_aws(settings)
    else:
        yield from (Check(name, "not checked", "needs AWS credentials") for name in _OF_AWS)
    yield from examine_this_machine()


def _examine_aws(settings: Settings) -> Iterator[Check]:
    # Always ok: settings with a region outside of the EU are refused when they are read.
    yield Check("region", "ok", f"{settings.region}, in the European Union")
    try:
        infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
    except FruitsError as error:
        yield _failure("stack", error)
        yield from (Check(name, "not checked", "needs the stack") for name in _OF_THE_STACK)
        infrastructure = None
    if infrastructure is not None:
        yield Check("stack", "ok", f"{settings.stack}, all outputs")
        yield from _examine_stack(infrastructure, settings)
    if settings.uses_databricks:
        yield _checked("workspace", lambda: Check("workspace", *check_workspace(settings)))
        if infrastructure is not None:
            policy = partial(check_cluster_policy, infrastructure, settings)
            yield _checked("cluster policy", lambda: Check("cluster policy", *policy()))
    yield _checked("locations", lambda: _places(settings, infrastructure))
    yield _checked("conditional writes", lambda: _conditional_writes(settings, "conditional writes"))
    yield _checked("weights", lambda: _weights(settings))
    yield _checked("quota", lambda: _quota(settings))
    yield _checked("budget", lambda: _budget(settings))


def _examine_stack(infrastructure: Infrastructure, settings: Settings) -> Iterator[Check]:
    s3, iam = client("s3", settings.region), client("iam", settings.region)
    launcher_role = infrastructure.launcher_role_arn.rsplit("/", 1)[1]
    job_role = infrastructure.job_role_arn.rsplit("/", 1)[1]
    glue_role = infrastructure.glue_role_arn.rsplit("/", 1)[1]
    databricks_role = infrastructure.databricks_role_arn.rsplit("/", 1)[1]
    looks: dict[str, Callable[[str], Check]] = {
        "data bucket": partial(_bucket, s3, infrastructure.data_bucket, settings.region),
        "staging bucket": partial(_bucket, s3, infrastructure.staging_bucket, settings.region),
        "service role": partial(_role, lambda: iam.get_role(RoleName=infrastructure.service_role)["Role"]["Arn"]),
        "instance profile": partial(
            _role,
            lambda: iam.get_instance_profile(InstanceProfileName=infrastructure.instance_profile)["InstanceProfile"][
                "Arn"
            ],
        ),
        "launcher role": partial(_role, lambda: iam.get_role(RoleName=launcher_role)["Role"]["Arn"]),
        "guard role": lambda name: Check(name, *check_guard_role(infrastructure.guard_role_arn, settings)),
        "schedule group": lambda name: Check(name, *check_schedule_group(settings)),
        "job role": partial(_role, lambda: iam.get_role(RoleName=job_role)["Role"]["Arn"]),
        "application": lambda name: Check(name, *check_application(infrastructure.serverless_application, settings)),
        "glue role": partial(_role, lambda: iam.get_role(RoleName=glue_role)["Role"]["Arn"]),
        "glue job": lambda name: Check(name, *check_glue_job(infrastructure, settings)),
        "databricks role": partial(_role, lambda: iam.get_role(RoleName=databricks_role)["Role"]["Arn"]),
        "permissions": lambda name: Check(name, *check_permissions(settings)),
        "environment": partial(_environment, s3, infrastructure.staging_bucket),
    }
    for name, look in looks.items():
        yield _checked(name, partial(look, name))


def examine_this_machine() -> Iterator[Check]:
    """Yields the checks of Python, Java and Spark on this machine."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here == PYTHON:
        yield Check("python", "ok", f"{here}, as on the cluster")
    else:
        yield Check("python", "failed", f"{here}, and the cluster's is {PYTHON}", "Set up anew: make setup")
    yield _checked("java", lambda: Check("java", "ok", f"17, in {find_java_home()}"))
    spark = version("pyspark")
    if spark.startswith("3.5."):
        yield Check("spark", "ok", spark)
    else:
        yield Check("spark", "failed", f"{spark}, and EMR 7 has 3.5", "Set up anew: make setup")


def _checked(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except FruitsError as error:
        return _failure(name, error)


def _failure(name: str, error: FruitsError) -> Check:
    if denial_of(error) is not None:
        return Check(name, "not checked", f"{_MAY_NOT_LOOK}: {error}")
    return Check(name, "failed", str(error))


def _credentials(settings: Settings) -> Check:
    identity = who(settings.region)
    return Check("credentials", "ok", f"account {identity.account}, {identity.arn}")


def _bucket(s3: Any, bucket: str, region: str, name: str) -> Check:
    where = check_bucket_region(bucket, s3)
    if where != region:
        return Check(name, "failed", f"{bucket} lies in {where}, the clusters in {region}", f"FRUITS_REGION={where}")
    seen: list[str] = [f"{bucket} in {region}"]
    wrong: list[str] = []
    unknown: list[str] = []
    for what, look in (("encrypted", partial(_encryption, s3)), ("closed to the public", partial(_closed, s3))):
        with translate_errors(f"look at {bucket}"):
            try:
                (seen if look(bucket) else wrong).append(what)
            except ClientError as error:
                if denial_of(error) is None:
                    raise
                unknown.append(what)
    if wrong:
        return Check(name, "failed", f"{bucket} is not {' and not '.join(wrong)}", BY_HAND)
    if unknown:
        return Check(name, "not checked", f"{', '.join(seen)}; {' and '.join(unknown)}: {_MAY_NOT_LOOK}")
    return Check(name, "ok", ", ".join(seen))


def _encryption(s3: Any, bucket: str) -> bool:
    try:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return False
    return bool(rules)


def _closed(s3: Any, bucket: str) -> bool:
    try:
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        return False
    wanted = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return all(block.get(what) for what in wanted)


def _role(look: Callable[[], str], name: str) -> Check:
    with translate_errors(f"look at the {name}"):
        try:
            return Check(name, "ok", look())
        except ClientError as error:
            if error_code(error) != "NoSuchEntity":
                raise
            return Check(name, "failed", f"the stack names it, and it is not there: {error}", BY_HAND)


def _environment(s3: Any, staging_bucket: str, name: str) -> Check:
    environment = read_environment(s3, staging_bucket)
    upload = "Upload it: fruits deploy --environment-only"
    for key in filter(
        None, (environment.archive, environment.bootstrap, environment.standalone, environment.init_script)
    ):
        with translate_errors(f"look at s3://{staging_bucket}/{key}"):
            if not object_exists(s3, staging_bucket, key):
                return Check(name, "failed", f"s3://{staging_bucket}/{key} is not there", upload)
    if different := differences(environment, installed_versions()):
        return Check(name, "failed", "; ".join(different), f"uv sync --locked, then: {upload}")
    return Check(name, "ok", f"{environment.archive}, the versions of this machine")


def _places(settings: Settings, infrastructure: Infrastructure | None) -> Check:
    locations = s3_places(settings)
    if not locations:
        return Check("locations", "ok", f"images {settings.images}, store {settings.store}")
    # Only for runs on AWS: those on this machine have its credentials, which may permit more than the stack's roles.
    if infrastructure is not None and settings.deployment != "local":
        check_places(settings, infrastructure.data_bucket)
    check_residency(settings)
    return Check("locations", "ok", f"images {settings.images}, store {settings.store}, in the European Union")


def _conditional_writes(settings: Settings, name: str) -> Check:
    if not is_s3(settings.store):
        return Check(name, "ok", "the store lies on this machine")
    if (address := endpoint()) is None:
        return Check(name, "ok", "AWS has them")
    check_conditional_writes(Store(settings.store).raw_images.root)
    return Check(name, "ok", f"the S3 at {address} has them")


def check_places(settings: Settings, data_bucket: str) -> None:
    """Raises a FruitsError unless the roles of the stack may read the photos and the weights, and write the store.

    Args:
        settings: The locations of photos, weights and store.
        data_bucket: The stack's data bucket.
    """
    root = f"s3://{data_bucket}"
    if settings.store != root:
        raise FruitsError(
            f"The store is {settings.store}, and the roles of the stack may write only below {root}/Results and "
            f"{root}/PCA_Results. Set FRUITS_STORE={root}, and copy there what the other store has (aws s3 sync)."
        )
    for what, name, location, here in (
        ("photos", "IMAGES", settings.images, f"{root}/Test"),
        ("weights", "WEIGHTS", settings.weights or "", f"{root}/weights"),
    ):
        # Weights that are not in S3 are read on this machine, not by the roles of the stack.
        if is_s3(location) and not f"{location}/".startswith(f"{root}/"):
            raise FruitsError(
                f"The {what} lie in {location}, which the roles of the stack cannot read. Copy them below {here} and "
                f"set FRUITS_{name} to that, or let the roles of the nodes and of the launcher read that bucket."
            )


def _weights(settings: Settings) -> Check:
    weights = settings.weights
    if weights is None:
        return Check("weights", "ok", "those of the store, imagenet in a new one, which Keras downloads")
    if is_s3(weights):
        bucket, key = bucket_and_key(weights)
        with translate_errors(f"read the weights {weights}"):
            try:
                client("s3", settings.region).head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey", "NoSuchBucket"):
                    raise
                return Check("weights", "failed", f"there is no {weights}", "Set FRUITS_WEIGHTS=imagenet")
        return Check("weights", "ok", weights)
    check_source(weights, settings.scaling)
    if weights.startswith(RANDOM_PREFIX):
        return Check("weights", "warning", f"{weights}: features mean nothing", "Set FRUITS_WEIGHTS=imagenet")
    described = "imagenet, which Keras downloads when it is first needed" if weights == IMAGENET else weights
    return Check("weights", "ok", described)


def _quota(settings: Settings) -> Check:
    # Imported here, as for the budget.
    from fruits_assets.commands.aws.quotas import judge_quotas, needs, read_quotas

    if not (wanted := needs(settings)):
        what = "Glue" if settings.deployment == "glue" else settings.instance_type
        return Check("quota", "not checked", f"{what} has quotas of its own: look in Service Quotas")
    allowed = read_quotas(client("service-quotas", settings.region), wanted)
    return Check("quota", *judge_quotas(wanted, allowed, settings.region))


def _budget(settings: Settings) -> Check:
    # Imported here: they import more of the platform than any other check needs.
    from fruits_assets.money.account import account_spend, next_worst_case
    from fruits_assets.money.budget import JOB, check_budget
    from fruits_assets.money.prices import read_prices

    prices = read_prices(settings)
    spend = account_spend(settings, prices, clock.now())
    worst, subject = next_worst_case(settings, prices)
    try:
        check_budget(spend, worst, settings.budget_eur, subject)
    except FruitsError as error:
        return Check("budget", "warning", str(error))
    return Check(
        "budget",
        "ok",
        f"{spend.total_eur:.2f} of {settings.budget_eur:.2f} EUR spent in {spend.month:%B}; one more "
        f"{'job' if subject is JOB else 'cluster'} costs {worst:.2f} EUR at worst",
    )


def all_checks() -> list[Check]:
    """Returns all checks for the settings of the environment; the settings themselves are one of the checks."""
    try:
        settings = read_settings()
        found = Check("settings", "ok", f"the {settings.deployment} deployment")
    except FruitsError as error:
        found = Check("settings", "failed", str(error))
        try:
            # Read them as for the local deployment: the emr deployment needs locations in buckets that may not exist
            # yet, and the other checks do not need these.
            settings = read_settings(deployment="local")
        except FruitsError:
            skipped = [Check(name, "not checked", "needs the settings") for name in ("credentials", *_OF_AWS)]
            return [found, *skipped, *examine_this_machine()]
    settings.export()
    return [*examine(settings), found]


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@reports_problems
def doctor_command(as_json: bool) -> None:
    """Check what runs on AWS need, from credentials to budget, and say what to do about each.

    \b
    Examples:
      fruits doctor
      fruits doctor --json | jq '.[] | select(.state == "failed")'
    """
    checks = all_checks()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        for check in checks:
            mark = click.style(MARKS[check.state], fg=COLOURS[check.state])
            click.echo(f"{mark} {check.name:<16}  {check.detail}{'. ' + check.remedy if check.remedy else ''}")
    if any(check.state == "failed" for check in checks):
        raise click.exceptions.Exit(1)
