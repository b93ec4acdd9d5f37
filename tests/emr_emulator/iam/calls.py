"""One request, read as far as permissions go."""

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.emr_emulator.serverless.requests import SERVICE as SERVERLESS
from tests.emr_emulator.serverless.requests import read_path

# The name that IAM knows an operation by, where it is another one.
ACTION_NAMES = {
    "s3": {"HeadBucket": "ListBucket"},
    "budgets": {
        "DescribeBudget": "ViewBudget",
        "DescribeBudgets": "ViewBudget",
        "CreateBudget": "ModifyBudget",
        "UpdateBudget": "ModifyBudget",
        "DeleteBudget": "ModifyBudget",
    },
}


@dataclass
class Call:
    """One request, as far as permissions go."""

    method: str
    service: str
    action: str
    region: str
    key: str
    is_json: bool
    body: dict[str, Any] = field(default_factory=dict)
    bucket: str = ""
    object_key: str = ""
    query: dict[str, str] = field(default_factory=dict)
    copy_source: str = ""
    deleted: list[str] = field(default_factory=list)
    versions_deleted: list[bool] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The IAM action, such as ``s3:GetObject``."""
        return f"{self.service}:{ACTION_NAMES.get(self.service, {}).get(self.action, self.action)}"


def read_call(environ: dict[str, Any]) -> Call:
    """Reads who asks for what from a request; its body can still be read afterwards."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    query = {
        name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
    }
    scope = authorization.partition("Credential=")[2].partition(",")[0] or query.get("X-Amz-Credential", "")
    parts = scope.split("/")
    key, region, service = (parts[0], parts[2], parts[3]) if len(parts) == 5 else ("", "us-east-1", "s3")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    call = Call(environ["REQUEST_METHOD"], service, "", region, key, is_json=bool(target), query=query)
    if target:
        call.action = target.rpartition(".")[2]
        call.body = json.loads(_body(environ) or b"{}")
    elif service == "s3":
        _read_s3_call(call, environ)
    elif service == "scheduler":
        _read_scheduler_call(call, environ)
    elif service == SERVERLESS:
        call.action, given = read_path(call.method, environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
        call.is_json, call.body = True, {**json.loads(_body(environ) or b"{}"), **given}
    else:
        fields = parse_qs(_body(environ).decode(), keep_blank_values=True)
        call.body = {name: values[0] for name, values in fields.items()}
        call.action = call.body.get("Action", query.get("Action", ""))
    return call


def _body(environ: dict[str, Any]) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(content)
    return content


_BUCKET_ACTIONS = {
    "location": "BucketLocation", "lifecycle": "LifecycleConfiguration", "versioning": "BucketVersioning",
    "policy": "BucketPolicy", "policyStatus": "BucketPolicyStatus", "acl": "BucketAcl", "tagging": "BucketTagging",
    "encryption": "EncryptionConfiguration", "publicAccessBlock": "BucketPublicAccessBlock", "cors": "BucketCORS",
    "ownershipControls": "BucketOwnershipControls", "logging": "BucketLogging",
}  # fmt: skip


def _read_s3_call(call: Call, environ: dict[str, Any]) -> None:
    path = environ.get("RAW_URI", environ.get("REQUEST_URI", environ["PATH_INFO"])).partition("?")[0]
    call.bucket, _, call.object_key = unquote(path).lstrip("/").partition("/")
    method, query = call.method, call.query
    verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete", "POST": "Put"}.get(method, method)
    if not call.bucket:
        call.action = "ListAllMyBuckets"
    elif call.object_key:
        what = next((one for one in ("acl", "tagging") if one in query), "")
        call.action = f"{verb}Object{what.capitalize()}"
        if "uploadId" in query and method in ("GET", "DELETE"):
            call.action = "ListMultipartUploadParts" if method == "GET" else "AbortMultipartUpload"
        if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
            call.copy_source = unquote(source).lstrip("/").partition("?")[0]
    elif method == "POST" and "delete" in query:
        call.action = "DeleteObject"
        objects = re.findall(r"<Object>(.*?)</Object>", _body(environ).decode(), re.DOTALL)
        keys = [re.findall(r"<Key>(.*?)</Key>", one, re.DOTALL)[0] for one in objects]
        call.deleted = [unquote(one) for one in keys]
        call.versions_deleted = ["<VersionId>" in one for one in objects]
    elif method in ("GET", "HEAD"):
        default = "ListBucketMultipartUploads" if "uploads" in query else "ListBucket"
        call.action = next((f"Get{name}" for one, name in _BUCKET_ACTIONS.items() if one in query), default)
        if "versions" in query:
            call.action = "ListBucketVersions"
    else:
        default = "CreateBucket" if method == "PUT" else "DeleteBucket"
        call.action = next((f"{verb}{name}" for one, name in _BUCKET_ACTIONS.items() if one in query), default)


def _read_scheduler_call(call: Call, environ: dict[str, Any]) -> None:
    """Reads action and fields from a path such as ``/schedules/<name>``."""
    collection, _, name = environ["PATH_INFO"].strip("/").partition("/")
    noun = {"schedules": "Schedule", "schedule-groups": "ScheduleGroup"}.get(collection, collection)
    verb = {"POST": "Create", "GET": "Get", "PUT": "Update", "DELETE": "Delete"}[call.method]
    call.action, call.is_json = (f"{verb}{noun}" if name else f"List{noun}s"), True
    group = {"GroupName": call.query["groupName"]} if "groupName" in call.query else {}
    call.body = {**json.loads(_body(environ) or b"{}"), **group, **({"Name": unquote(name)} if name else {})}
