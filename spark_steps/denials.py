"""What AWS has denied: which action, on what, to whom; read from the error, or its text, of any library.

AWS says it in its own words (``User: ... is not authorized to perform: ... on resource: ...``), which boto3, pyarrow,
object_store and Hadoop pass on or leave out. Where they leave it out, the library's own words have the request.
"""

import html
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from spark_steps.errors import chain_of

CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
REMEDY = "Check AWS_PROFILE; fruits doctor shows which permissions the stack's roles lack, and what gives them back."
# The action that S3 asks for, where it is not named as the request is.
_ACTIONS_OF_S3 = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "UploadPart": "PutObject",
}
_AS_NAMED_OF_S3 = {"GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "GetBucketLocation"}


@dataclass(frozen=True)
class Denial:
    """What AWS has denied.

    Attributes:
        action: As IAM names it, such as ``s3:PutObject``; the name of the request where its service is not known.
        resource: ARN or location; empty where it is not known.
        principal: ARN of whom it was denied to; empty where it is not known.
    """

    action: str
    resource: str = ""
    principal: str = ""

    @property
    def who(self) -> str:
        """Whom it was denied to, in words."""
        role = re.search(r":assumed-role/([^/]+)|:role/(?:.*/)?([^/]+)$", self.principal)
        if role:
            return f"the role {role[1] or role[2]}"
        user = re.search(r":user/(?:.*/)?([^/]+)$", self.principal)
        return f"the user {user[1]}" if user else self.principal or "the role of these credentials"

    def __str__(self) -> str:
        on = f" on {self.resource}" if self.resource else ""
        return f"{self.who} lacks {self.action}{on}"


def sentence_of(denial: Denial) -> str:
    """Returns a denial as a sentence, with the remedy."""
    return f"AWS denies access: {denial}. {REMEDY}"


def denial_of(error: BaseException) -> Denial | None:
    """Returns what AWS has denied where an error or one of its causes is a denial; None where none is.

    Args:
        error: An error of boto3, pyarrow, obstore, deltalake, Spark or Dagster, or one that has such a cause.
    """
    return next((found for one in chain_of(error) if (found := _of_error(one))), None)


def denial_in(text: str) -> Denial | None:
    """Returns what AWS has denied according to the text of an error or of a log; None for any other text.

    Args:
        text: What a library, Spark or a command of AWS says; with or without a stack trace.
    """
    plain = html.unescape(text)
    return next((found for parser in _PARSERS if (found := parser(plain))), None)


def _of_error(error: BaseException) -> Denial | None:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        # boto3's, which is not imported here. Its code decides, because a key of S3 may hold any words.
        details = response.get("Error", {})
        if str(details.get("Code", "")) not in CODES:
            return None
        named = _as_aws_says(html.unescape(str(details.get("Message", ""))))
        return named or Denial(_action_of(str(getattr(error, "operation_name", ""))))
    return denial_in(str(error))


def _as_aws_says(text: str) -> Denial | None:
    """Parses the words of AWS' own services. S3 puts the resource into quotes, because a key may hold spaces."""
    found = re.search(
        r"(?:User: (?P<principal>\S+) )?is not authorized to perform: (?P<action>[\w-]+:\w+)"
        r'(?: on resource: (?:"(?P<quoted>[^"\n]*)"|(?P<resource>[^\n]*?)))?'
        r"(?=$|\n| because | with an explicit deny|</Message>| \((?:Service|Request ID): |: [a-z]\w+\.amazonaws)",
        text,
    )
    if found is None:
        return None
    resource = (found["quoted"] or found["resource"] or "").strip()
    return Denial(found["action"], resource, found["principal"] or "")


def _as_boto3_says(text: str) -> Denial | None:
    """Parses the words of boto3, also as a stack trace or the ``aws`` command has them."""
    found = re.search(rf"An error occurred \((?:{'|'.join(CODES)})\) when calling the (?P<request>\w+) operation", text)
    return Denial(_action_of(found["request"])) if found else None


def _as_pyarrow_says(text: str) -> Denial | None:
    found = re.search(
        r"(?:key '(?P<key>[^\n]*?)' in bucket '(?P<bucket>[^'\n]*)')?[^\n]{0,20}AWS Error (?:ACCESS_DENIED|UNKNOWN "
        r"\(HTTP status 403\)) during (?P<request>\w+) operation",
        text,
    )
    if found is None:
        return None
    resource = f"s3://{found['bucket']}/{found['key']}" if found["bucket"] else ""
    return Denial(_action_of(found["request"]), resource)


def _as_object_store_says(text: str) -> Denial | None:
    """Parses the words of Rust's object_store, which deltalake and obstore pass on."""
    found = re.search(
        r"Error performing (?P<method>[A-Z]+) (?P<url>https?://\S+(?: [^\n]*?)?) (?:in [\d.]+ ?[mµn]?s|after \d+ retr)"
        r"[^\n]*?\b(?:403 Forbidden|status code: 403)",
        text,
    )
    if found is None:
        return None
    url = urlsplit(found["url"])
    query = parse_qs(url.query, keep_blank_values=True)
    action = {"HEAD": "GetObject", "GET": "GetObject", "DELETE": "DeleteObject"}.get(found["method"], "PutObject")
    if "list-type" in query:
        action = "ListBucket"
    elif found["method"] == "POST" and "delete" in query:
        action = "DeleteObject"
    # In the address of the bucket itself, or as its first part.
    bucket = f"{url.netloc.partition('.s3.')[0]}/" if ".s3." in url.netloc else ""
    return Denial(f"s3:{action}", f"s3://{bucket}{unquote(url.path).lstrip('/')}")


def _as_hadoop_says(text: str) -> Denial | None:
    """Parses the words of S3A, by which Spark's own readers and writers reach S3."""
    found = re.search(r"AccessDeniedException: (?P<where>s3[an]?://[^\n]+?): (?P<what>[^\n]+)", text)
    if found is None:
        return None
    writes = re.match(r"PUT|Writing|initiate|upload|Completing|copyFile", found["what"], re.IGNORECASE)
    action = "PutObject" if writes else "DeleteObject" if re.match("delete", found["what"], re.I) else "GetObject"
    if re.match(r"list|innerListStatus", found["what"], re.I):
        action = "ListBucket"
    return Denial(f"s3:{action}", re.sub("^s3[an]", "s3", found["where"]))


_PARSERS = (_as_aws_says, _as_pyarrow_says, _as_object_store_says, _as_hadoop_says, _as_boto3_says)


def _action_of(request: str) -> str:
    if request in _ACTIONS_OF_S3 or request in _AS_NAMED_OF_S3:
        return f"s3:{_ACTIONS_OF_S3.get(request, request)}"
    return request or "an action that AWS does not name"
