"""Who calls, what that is in terms of IAM, and whether it is permitted: for every service, by our own evaluator.

moto's enforcement takes an Allow whose condition does not hold for a Deny and knows no condition keys outside of trust
policies, so it is not used.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

from moto.iam.models import IAMBackend, ManagedPolicy, Role, iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends

from tests.emr_emulator.api import ElasticMapReduce
from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.cluster.world import ACCOUNT
from tests.emr_emulator.glue import requests as glue
from tests.emr_emulator.iam.calls import Call
from tests.emr_emulator.iam.policies import Question, as_list, decide, names_principal, trusts
from tests.emr_emulator.serverless.requests import SERVICE as SERVERLESS
from tests.emr_emulator.serverless.requests import questions

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CLUSTER_KEYS = ("ClusterId", "JobFlowId", "ResourceId")


class Authorization:
    """Decides over calls, once it is enforced."""

    def __init__(self, root_key: str) -> None:
        self.root_key = root_key
        self.enforced = False
        self.bucket_policies: dict[str, dict[str, Any]] = {}
        # What roles were asked for, while it was enforced: the role's name, the action and the resource.
        self.asked: set[tuple[str, str, str]] = set()

    def check(self, call: Call, emr: ElasticMapReduce) -> None:
        """Refuses what the caller may not do.

        Raises:
            ApiError: AccessDenied in the words of the service, or an unknown key.
        """
        if not self.enforced or call.key == self.root_key or call.name == "sts:GetCallerIdentity":
            return
        principal, documents = self._principal(call)
        for question in questions_of(call, emr, _iam_arn(principal)):
            self.asked.add((_iam_arn(principal).rpartition("/")[2], question.action, question.resource))
            if not self._permits(call, principal, documents, question):
                code = {"s3": "AccessDenied", "ec2": "UnauthorizedOperation"}.get(call.service, "AccessDenied")
                raise ApiError(
                    "AccessDeniedException" if call.is_json else code,
                    f"User: {principal} is not authorized to perform: {question.action} "
                    f"on resource: {question.resource}",
                    400 if call.is_json else 403,
                )

    def launch_problem(self, region: str, request: dict[str, Any], tags_of: dict[str, dict[str, str]]) -> str:
        """Returns what EMR's own role lacks to launch a cluster, or nothing: EMR learns it after RunJobFlow.

        Args:
            region: Of the cluster.
            request: Of RunJobFlow.
            tags_of: Tags of the subnet and of the security groups that it names, by id.
        """
        if not self.enforced:
            return ""
        service, nodes = _role_arn(str(request["ServiceRole"])), _role_of_profile(str(request["JobFlowRole"]))
        source = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": _cluster_arn(region, "j-NEW")}
        asked = Question("sts:AssumeRole", service, source)
        for arn, name in {service: "elasticmapreduce.amazonaws.com", nodes: "ec2.amazonaws.com"}.items():
            role = role_of_arn(arn)
            if role is None or not trusts(role_document(role), name, "Service", asked):
                return f"{name} may not assume the role {arn}"
        context: dict[str, str | list[str]] = {"aws:RequestedRegion": region}
        ec2 = f"arn:aws:ec2:{region}:{ACCOUNT}"
        # Fleets are launched by EC2's own.
        actions = ["ec2:RunInstances", *(["ec2:CreateFleet"] if "InstanceFleets" in request["Instances"] else [])]
        tags = {f"aws:RequestTag/{one['Key']}": str(one.get("Value", "")) for one in request.get("Tags", [])}
        questions = [
            Question("iam:PassRole", nodes, {**context, "iam:PassedToService": "ec2.amazonaws.com"}),
            *(Question(action, f"{ec2}:instance/*", {**context, **tags}) for action in actions),
        ]
        for name, found in tags_of.items():
            kind = "subnet" if name.startswith("subnet-") else "security-group"
            own = {f"aws:ResourceTag/{key}": value for key, value in found.items()}
            questions += [Question(action, f"{ec2}:{kind}/{name}", {**context, **own}) for action in actions]
        documents = policies_of_role(service.rpartition("/")[2])
        for question in questions:
            self.asked.add((service.rpartition("/")[2], question.action, question.resource))
            if decide(documents, question) != "allow":
                return (
                    f"Service role {service} has insufficient EC2 permissions: {question.action} on {question.resource}"
                )
        return ""

    def trust_problem(
        self, region: str, role_arn: str, service: str = SERVERLESS, resource: str = "/applications/a"
    ) -> str:
        """Returns why EMR Serverless, or another service, cannot have the role of a job, or nothing."""
        role = role_of_arn(role_arn)
        source = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"}
        asked = Question("sts:AssumeRole", role_arn, source)
        if role is None or not trusts(role_document(role), f"{service}.amazonaws.com", "Service", asked):
            return f"{service}.amazonaws.com is not authorized to assume the role {role_arn}"
        return ""

    def _permits(self, call: Call, principal: str, documents: list[dict[str, Any]], question: Question) -> bool:
        decision = decide(documents, question)
        if call.service == "s3":
            statements = [one for one in self._bucket_policy(call.bucket) if names_principal(one, principal, "AWS")]
            of_bucket = decide([{"Statement": statements}], question)
            return "deny" not in (decision, of_bucket) and "allow" in (decision, of_bucket)
        if question.action == "sts:AssumeRole" and decision != "deny":
            role = role_of_arn(question.resource)
            if role is None:
                return False
            document = role_document(role)
            # Named itself, the trust policy is enough; when the account is named, its own policy must allow it too.
            return trusts(document, _iam_arn(principal), "AWS", question) or (
                decision == "allow" and trusts(document, ROOT, "AWS", question)
            )
        return decision == "allow"

    def _bucket_policy(self, name: str) -> list[dict[str, Any]]:
        """Returns the statements of a bucket's policy: of the stack, or put by PutBucketPolicy."""
        policy = getattr(s3_backends[ACCOUNT]["aws"].buckets.get(name), "policy", None)
        document = _load(policy.decode() if isinstance(policy, bytes) else policy) if policy else {}
        return as_list(self.bucket_policies.get(name, document).get("Statement"))

    def _principal(self, call: Call) -> tuple[str, list[dict[str, Any]]]:
        """Returns the ARN and the policies of who signed the request."""
        iam = backend()
        assumed = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(call.key)
        if assumed is not None:
            role = role_of_arn(assumed.role_arn)
            return assumed.arn, policies_of_role(role.name) if role is not None else []
        user = iam.get_user_from_access_key_id(call.key)
        if user is None:
            code = {"s3": "InvalidAccessKeyId", "sts": "InvalidClientTokenId", "iam": "InvalidClientTokenId"}
            unknown = "UnrecognizedClientException" if call.is_json else "InvalidClientTokenId"
            message = "The security token included in the request is invalid."
            raise ApiError(code.get(call.service, unknown), message, 400 if call.is_json else 403)
        documents = [_load(document) for document in user.policies.values()]
        documents += [_document(one) for one in user.managed_policies.values()]
        for group in iam.get_groups_for_user(user.name):
            documents += [_load(document) for document in group.policies.values()]
            documents += [_document(one) for one in group.managed_policies.values()]
        return user.arn, documents


def backend() -> IAMBackend:
    """Returns moto's IAM of the one account."""
    found: IAMBackend = iam_backends[ACCOUNT]["aws"]
    return found


def policies_of_role(name: str) -> list[dict[str, Any]]:
    """Returns the policy documents of a role, its own and the attached."""
    role = backend().get_role(name)
    own = [_load(document) for document in role.policies.values()]
    return own + [_document(one) for one in role.managed_policies.values()]


def role_document(role: Role) -> dict[str, Any]:
    """Returns the trust policy of a role."""
    return _load(role.assume_role_policy_document)


def _document(policy: ManagedPolicy) -> dict[str, Any]:
    """Returns the default version of a managed policy."""
    return next(_load(version.document) for version in policy.versions if version.is_default_version)


def _load(document: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(unquote(document)) if isinstance(document, str) else document
    return loaded


def role_of_arn(arn: str) -> Role | None:
    return next((role for role in backend().roles.values() if role.arn == arn), None)


def _iam_arn(principal: str) -> str:
    """Returns the role behind a session, which is what trust policies name."""
    match = re.fullmatch(r"arn:aws:sts::\d+:assumed-role/([^/]+)/.*", principal)
    if match is None:
        return principal
    return str(backend().get_role(match.group(1)).arn)


def questions_of(call: Call, emr: ElasticMapReduce, principal: str) -> list[Question]:
    """Returns all that must be permitted for a call to go through."""
    # The emulator speaks HTTP where AWS would speak TLS; policies that insist on TLS are met.
    context: dict[str, str | list[str]] = {
        "aws:RequestedRegion": call.region,
        "aws:SecureTransport": "true",
        "aws:PrincipalArn": principal,
        "aws:PrincipalAccount": ACCOUNT,
    }
    if call.service == "s3":
        return _s3_questions(call, context)
    if call.service == "elasticmapreduce":
        return _emr_questions(call, context, emr)
    if call.service == SERVERLESS:
        return questions(call.name, call.region, call.body, context)
    if call.service == glue.SERVICE:
        return glue.questions(call.name, call.region, call.body, context)
    if call.service == "scheduler" and "RoleArn" in call.body.get("Target", {}):
        passed = {**context, "iam:PassedToService": "scheduler.amazonaws.com"}
        role = Question("iam:PassRole", str(call.body["Target"]["RoleArn"]), passed)
        return [Question(call.name, _resource(call), context), role]
    return [Question(call.name, _resource(call), context)]


def _resource(call: Call) -> str:
    body = call.body
    if call.service == "cloudformation" and (stack := body.get("StackName")):
        arn = f"arn:aws:cloudformation:{call.region}:{ACCOUNT}:stack/{stack}/{'0' * 8}-0000-0000-0000-{'0' * 12}"
        return str(stack) if str(stack).startswith("arn:") else arn
    if call.service == "sts":
        return str(body.get("RoleArn", "*"))
    if call.service == "logs" and "logGroupName" in body:
        stream = body.get("logStreamName", "*")
        return f"arn:aws:logs:{call.region}:{ACCOUNT}:log-group:{body['logGroupName']}:log-stream:{stream}"
    if call.service == "scheduler" and "Name" in body:
        group = body.get("GroupName", "default")
        return f"arn:aws:scheduler:{call.region}:{ACCOUNT}:schedule/{group}/{body['Name']}"
    if call.service == "iam":
        for name, kind in {"RoleName": "role", "InstanceProfileName": "instance-profile", "UserName": "user"}.items():
            if name in body:
                known = {role.name: role.arn for role in backend().roles.values()}
                return str(known.get(body[name], f"arn:aws:iam::{ACCOUNT}:{kind}/{body[name]}"))
        return str(body.get("PolicySourceArn", body.get("PolicyArn", "*")))
    if call.service == "budgets" and "BudgetName" in body:
        return f"arn:aws:budgets::{ACCOUNT}:budget/{body['BudgetName']}"
    return "*"


def _s3_questions(call: Call, context: dict[str, str | list[str]]) -> list[Question]:
    bucket = f"arn:aws:s3:::{call.bucket}"
    listing = {**context, "s3:prefix": call.query.get("prefix", ""), "s3:delimiter": call.query.get("delimiter", "")}
    if not call.bucket:
        return [Question(call.name, "*", context)]
    if call.deleted:
        return [
            Question(f"s3:DeleteObject{'Version' * version}", f"{bucket}/{key}", context)
            for key, version in zip(call.deleted, call.versions_deleted, strict=True)
        ]
    if not call.object_key:
        return [Question(call.name, bucket, listing if call.name == "s3:ListBucket" else context)]
    questions = [Question(call.name, f"{bucket}/{call.object_key}", context)]
    if call.copy_source:
        questions.append(Question("s3:GetObject", f"arn:aws:s3:::{call.copy_source}", context))
    if call.name == "s3:GetObject":
        known = s3_backends[ACCOUNT]["aws"].buckets.get(call.bucket)
        if known is not None and call.object_key not in known.keys:
            # Only who may list is told that an object is not there; others are denied.
            questions.append(Question("s3:ListBucket", bucket, {**context, "s3:prefix": call.object_key}))
    return questions


def _emr_questions(call: Call, context: dict[str, str | list[str]], emr: ElasticMapReduce) -> list[Question]:
    body = call.body
    new_tags = {one["Key"]: str(one.get("Value", "")) for one in body.get("Tags", [])}
    if new_tags or "TagKeys" in body:
        context = {**context, "aws:TagKeys": list(new_tags) or list(body["TagKeys"])}
    for key, value in new_tags.items():
        context = {**context, f"aws:RequestTag/{key}": value, f"elasticmapreduce:RequestTag/{key}": value}
    if call.action == "RunJobFlow":
        return _run_questions(call, context, new_tags)
    named = [str(body[key]) for key in CLUSTER_KEYS if key in body] + [str(one) for one in body.get("JobFlowIds", [])]
    if not named:
        return [Question(call.name, "*", context)]
    questions = []
    for cluster_id in named:
        cluster = emr.clusters.get(cluster_id)
        of_cluster = {} if cluster is None else _resource_tags(cluster.tags)
        questions.append(Question(call.name, _cluster_arn(call.region, cluster_id), {**context, **of_cluster}))
    return questions


def _run_questions(call: Call, context: dict[str, str | list[str]], tags: dict[str, str]) -> list[Question]:
    """Returns what RunJobFlow needs: itself, to pass both roles, and the rights to what it sets along the way."""
    body, every_cluster = call.body, _cluster_arn(call.region, "*")
    questions = [Question(call.name, every_cluster, context)]
    if tags:
        # AWS asks for this one with the cluster still unknown, so a condition on its tags cannot hold.
        questions.append(Question("elasticmapreduce:AddTags", every_cluster, context))
    for role, service in {
        _role_arn(str(body.get("ServiceRole", ""))): "elasticmapreduce.amazonaws.com",
        _role_of_profile(str(body.get("JobFlowRole", ""))): "ec2.amazonaws.com",
    }.items():
        if role:
            questions.append(Question("iam:PassRole", role, {**context, "iam:PassedToService": service}))
    # Not known of AWS for certain, so lenient here: the cluster's tags are those it is asked for with.
    of_cluster = {**context, **_resource_tags(tags)}
    for policy in ("AutoTerminationPolicy", "ManagedScalingPolicy"):
        if policy in body:
            questions.append(Question(f"elasticmapreduce:Put{policy}", every_cluster, of_cluster))
    return questions


def _resource_tags(tags: dict[str, str]) -> dict[str, str | list[str]]:
    own = {f"elasticmapreduce:ResourceTag/{key}": value for key, value in tags.items()}
    return {**own, **{f"aws:ResourceTag/{key}": value for key, value in tags.items()}}


def _cluster_arn(region: str, cluster_id: str) -> str:
    return f"arn:aws:elasticmapreduce:{region}:{ACCOUNT}:cluster/{cluster_id}"


def _role_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    return next((str(role.arn) for role in backend().roles.values() if role.name == name), "")


def _role_of_profile(name: str) -> str:
    for profile in backend().get_instance_profiles():
        if profile.name == name.rpartition("/")[2] and profile.roles:
            return str(profile.roles[0].arn)
    return ""
