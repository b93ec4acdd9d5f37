"""The bucket in which all stacks of an account and region have their lock in common.

No stack can own it: the second stack would fail on it, and the first would take it along when it is deleted. So
``fruits deploy`` makes it where it is missing, and every stack's launcher role may use it.
"""

from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws.sessions import MISSING, error_code, translate_errors
from spark_steps.errors import FruitsError

_OURS_ALREADY = {"BucketAlreadyOwnedByYou", "OperationAborted"}
# Of locks whose holder was killed, and of notes that nobody reads after minutes.
_DAYS_KEPT = 1


def put_lock_bucket(s3: Any, bucket: str, account: str, region: str) -> bool:
    """Makes the bucket where it is missing, and sets that it is private and forgets; returns whether it was missing.

    Its objects are encrypted by S3's own keys, as those of each new bucket are.

    Args:
        s3: boto3's client of S3 in the region.
        bucket: Its name, an output of each stack.
        account: The account that it must belong to: names of buckets are common to all accounts.
        region: A region of the European Union.

    Raises:
        FruitsError: It belongs to another account, or AWS refuses a request.
    """
    owned = {"Bucket": bucket, "ExpectedBucketOwner": account}
    with translate_errors(f"make the bucket {bucket}, in which all stacks have their lock in common"):
        missing = not _is_there(s3, owned)
        if missing:
            _create(s3, bucket, region)
        private = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        s3.put_public_access_block(**owned, PublicAccessBlockConfiguration=dict.fromkeys(private, True))
        rule = {"ID": "locks", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": _DAYS_KEPT}}
        s3.put_bucket_lifecycle_configuration(**owned, LifecycleConfiguration={"Rules": [rule]})
        s3.put_bucket_tagging(**owned, Tagging={"TagSet": [{"Key": "Project", "Value": "fruits"}]})
    return missing


def _is_there(s3: Any, owned: dict[str, str]) -> bool:
    try:
        s3.head_bucket(**owned)
    except ClientError as error:
        if error_code(error) in {*MISSING, "NoSuchBucket"}:
            return False
        if error_code(error) in ("403", "AccessDenied"):
            raise FruitsError(
                f"The bucket {owned['Bucket']} belongs to another AWS account, or these credentials may not look at "
                "it. All stacks of the account have their lock there; run fruits deploy as an administrator."
            ) from error
        raise
    return True


def _create(s3: Any, bucket: str, region: str) -> None:
    try:
        s3.create_bucket(
            Bucket=bucket,
            ObjectOwnership="BucketOwnerEnforced",
            CreateBucketConfiguration={"LocationConstraint": region},
        )
    except ClientError as error:
        # Another fruits deploy of the account was at the same moment.
        if error_code(error) not in _OURS_ALREADY:
            raise
