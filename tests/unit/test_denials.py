"""What AWS has denied is read from the error of any library, and the platform's own sentence goes before it."""

import pytest
from botocore.exceptions import ClientError

from spark_steps import denials
from spark_steps.denials import Denial, denial_in, denial_of, sentence_of
from spark_steps.errors import FruitsError, own_error
from spark_steps.step_main import described
from spark_steps.storage.s3_errors import translate_errors

LAUNCHER = "arn:aws:sts::123456789012:assumed-role/fruits-launcher-eu-west-3/me"
NODE = "arn:aws:sts::123456789012:assumed-role/fruits-node-eu-west-3/j-1"
CLUSTER = "arn:aws:elasticmapreduce:eu-west-3:123456789012:cluster/j-1"
KEY = "arn:aws:s3:::data/Test/Red apple/a 1 (2).jpg"


def client_error(code: str, message: str, request: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, request)


def of_aws(action: str, resource: str, principal: str = LAUNCHER, end: str = "") -> str:
    return f"User: {principal} is not authorized to perform: {action} on resource: {resource}{end}"


@pytest.mark.parametrize(
    ("text", "denial"),
    [
        # EMR, and IAM's reason after it.
        (
            of_aws("elasticmapreduce:DescribeCluster", CLUSTER, end=" because no identity-based policy allows it"),
            Denial("elasticmapreduce:DescribeCluster", CLUSTER, LAUNCHER),
        ),
        (of_aws("elasticmapreduce:ListClusters", "*"), Denial("elasticmapreduce:ListClusters", "*", LAUNCHER)),
        (
            of_aws("iam:PassRole", "arn:aws:iam::1:role/fruits-node", end=" with an explicit deny in a policy"),
            Denial("iam:PassRole", "arn:aws:iam::1:role/fruits-node", LAUNCHER),
        ),
        # S3 puts what may hold spaces into quotes; object_store passes its XML on.
        (of_aws("s3:GetObject", f'"{KEY}"', NODE, " because no policy"), Denial("s3:GetObject", KEY, NODE)),
        (
            "Generic S3 error: Error performing PUT https://data.s3.eu-west-3.amazonaws.com/Results/a in 21.4ms - "
            "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>"
            f"{of_aws('s3:PutObject', '&quot;arn:aws:s3:::data/Results/a&amp;b c&quot;', NODE)}</Message></Error>",
            Denial("s3:PutObject", "arn:aws:s3:::data/Results/a&b c", NODE),
        ),
        # pyarrow adds the request's id.
        (
            f"{of_aws('s3:ListBucket', 'arn:aws:s3:::data')} (Request ID: 1A2B)",
            Denial("s3:ListBucket", "arn:aws:s3:::data", LAUNCHER),
        ),
        (
            f"Traceback (most recent call last):\n  File x\nClientError: {of_aws('s3:PutObject', KEY)}\n  File y",
            Denial("s3:PutObject", KEY, LAUNCHER),
        ),
        # pyarrow.
        (
            "When reading information for key 'Results/a b/1.parquet' in bucket 'data': AWS Error ACCESS_DENIED during "
            "HeadObject operation: No response body.",
            Denial("s3:GetObject", "s3://data/Results/a b/1.parquet"),
        ),
        (
            "When initiating multiple part upload for key 'it's/1' in bucket 'data': AWS Error ACCESS_DENIED during "
            "CreateMultipartUpload operation: Access Denied",
            Denial("s3:PutObject", "s3://data/it's/1"),
        ),
        (
            "When listing objects under key 'Test' in bucket 'data': AWS Error ACCESS_DENIED during "
            "ListObjectsV2 operation",
            Denial("s3:ListBucket", "s3://data/Test"),
        ),
        # object_store, where S3 says nothing but 403.
        (
            "Generic S3 error: Error performing GET https://data.s3.eu-west-3.amazonaws.com/Results/a%20b in 3ms - "
            "Server returned error status 403 Forbidden: <Error><Code>AccessDenied</Code></Error>",
            Denial("s3:GetObject", "s3://data/Results/a b"),
        ),
        (
            "Error performing GET http://127.0.0.1:5/data?list-type=2&prefix=Results%2F in 3.5ms, after 2 retries - "
            "Server returned non-2xx status code: 403 Forbidden: no",
            Denial("s3:ListBucket", "s3://data"),
        ),
        # S3A, by which Spark reads.
        (
            "org.apache.spark.SparkException: Job aborted\nCaused by: java.nio.file.AccessDeniedException: "
            "s3a://data/Test/Red apple/1.jpg: open s3a://data/Test/Red apple/1.jpg at 0 on "
            "s3a://data/Test/Red apple/1.jpg: com.amazonaws.services.AmazonS3Exception: Access Denied (Service: S3)",
            Denial("s3:GetObject", "s3://data/Test/Red apple/1.jpg"),
        ),
        (
            "java.nio.file.AccessDeniedException: s3a://data/Results/x: PUT 0-byte object on Results/x: S3Exception",
            Denial("s3:PutObject", "s3://data/Results/x"),
        ),
        # boto3's in a log, with the status of a HEAD alone.
        (
            "fatal error: An error occurred (403) when calling the HeadObject operation: Forbidden",
            Denial("s3:GetObject"),
        ),
        ("ValueError: 403 is no weight", None),
        ("AmazonS3Exception: Status Code: 403; AccessDenied", None),
    ],
)
def test_what_is_denied_is_read_from_the_words_of_each_library(text: str, denial: Denial | None) -> None:
    assert denial_in(text) == denial


def test_a_denial_of_boto3_is_known_by_its_code_and_not_by_words_that_a_key_may_hold() -> None:
    said = of_aws("s3:PutObject", KEY)
    assert denial_of(client_error("AccessDenied", said, "PutObject")) == Denial("s3:PutObject", KEY, LAUNCHER)
    assert denial_of(client_error("NoSuchKey", said, "PutObject")) is None
    assert denial_of(client_error("403", "Forbidden", "HeadObject")) == Denial("s3:GetObject")
    encoded = client_error("UnauthorizedOperation", "You are not authorized to perform this operation.", "RunInstances")
    assert denial_of(encoded) == Denial("RunInstances")


def test_a_denial_is_found_below_what_has_wrapped_it() -> None:
    outer = RuntimeError("Error occurred while executing op")
    outer.__cause__ = client_error("AccessDenied", of_aws("s3:PutObject", KEY), "PutObject")
    assert denial_of(outer) == Denial("s3:PutObject", KEY, LAUNCHER)
    assert denial_of(RuntimeError("of its own")) is None


@pytest.mark.parametrize(
    ("principal", "who"),
    [
        (LAUNCHER, "the role fruits-launcher-eu-west-3"),
        ("arn:aws:iam::123456789012:role/path/fruits-node", "the role fruits-node"),
        ("arn:aws:iam::123456789012:user/people/ann", "the user ann"),
        ("the nodes' role", "the nodes' role"),
        ("", "the role of these credentials"),
    ],
)
def test_the_sentence_names_the_action_the_resource_and_whom_it_is_denied_to(principal: str, who: str) -> None:
    assert sentence_of(Denial("s3:GetObject", KEY, principal)) == (
        f"AWS denies access: {who} lacks s3:GetObject on {KEY}. Check AWS_PROFILE; fruits doctor shows which "
        "permissions the stack's roles lack, and what gives them back."
    )


def test_a_location_in_s3_keeps_its_name_before_what_is_denied() -> None:
    said = (
        "When uploading key 'a b' in bucket 'data': AWS Error ACCESS_DENIED during PutObject operation: Access Denied"
    )
    with pytest.raises(FruitsError) as raised, translate_errors("s3://data/a b"):
        raise OSError(said)
    assert str(raised.value).startswith(
        "s3://data/a b: AWS denies access: the role of these credentials lacks s3:PutObject on s3://data/a b. Check"
    )


def failing() -> None:
    try:
        raise client_error("AccessDenied", of_aws("s3:PutObject", KEY), "PutObject")
    except ClientError as error:
        raise FruitsError("AWS denies to write.") from error


def test_the_outermost_sentence_of_the_platform_is_that_of_a_whole_chain() -> None:
    with pytest.raises(FruitsError) as raised:
        failing()
    assert own_error(raised.value) is raised.value
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = raised.value
    assert own_error(wrapped) is raised.value
    assert own_error(ValueError("of others")) is None


def test_a_step_tells_its_launcher_the_platforms_sentence_and_not_that_of_its_cause() -> None:
    with pytest.raises(FruitsError) as raised:
        failing()
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = raised.value
    told = described(wrapped)
    assert (told["is_ours"], told["type"], told["message"]) == (True, "FruitsError", "AWS denies to write.")
    other = described(ValueError("of others"))
    assert (other["is_ours"], other["message"]) == (False, "of others")


def test_no_sentence_names_the_library_that_was_used() -> None:
    for text in (
        of_aws("s3:PutObject", KEY),
        "botocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation",
    ):
        found = denial_in(text)
        assert found is not None
        assert "botocore" not in sentence_of(found)
    assert "botocore" not in denials.REMEDY
