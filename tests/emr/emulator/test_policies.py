"""The emulator's policies: decided as IAM does."""

import json
from typing import Any

import pytest

from tests.emr_emulator.iam.policies import Question, decide, trusts
from tests.support.aws.emulated import ACCOUNT, trust


def question(action: str, resource: str = "*", **context: str | list[str]) -> Question:
    return Question(
        action, resource, {name.replace("__", ":").replace("_", "/"): value for name, value in context.items()}
    )


def allow(**parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **parts}


def test_a_deny_wins_over_an_allow() -> None:
    deny = {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::bucket/private/*"}
    documents: list[dict[str, Any]] = [{"Statement": allow()}, {"Statement": [deny]}]
    assert decide(documents, question("s3:PutObject", "arn:aws:s3:::bucket/private/x")) == "deny"
    assert decide(documents, question("s3:PutObject", "arn:aws:s3:::bucket/public/x")) == "allow"
    assert decide([], question("s3:PutObject", "arn:aws:s3:::bucket/public/x")) == "none"


def test_actions_are_compared_without_case_and_resources_with_it() -> None:
    documents = [{"Statement": allow(Action="S3:getobject", Resource="arn:aws:s3:::Bucket/?.txt")}]
    assert decide(documents, question("s3:GetObject", "arn:aws:s3:::Bucket/a.txt")) == "allow"
    assert decide(documents, question("s3:GetObject", "arn:aws:s3:::bucket/a.txt")) == "none"


@pytest.mark.parametrize(
    ("condition", "tag", "expected"),
    [
        ({"StringEquals": {"aws:RequestTag/stack": "fruits"}}, "fruits", "allow"),
        ({"StringEquals": {"aws:requesttag/stack": ["other", "fruits"]}}, "fruits", "allow"),
        ({"StringEquals": {"aws:RequestTag/stack": "fruits"}}, None, "none"),
        ({"StringEqualsIfExists": {"aws:RequestTag/stack": "fruits"}}, None, "allow"),
        ({"StringNotEquals": {"aws:RequestTag/stack": "fruits"}}, None, "allow"),
        ({"StringNotEquals": {"aws:RequestTag/stack": ["fruits", "other"]}}, "other", "none"),
        ({"StringLike": {"aws:RequestTag/stack": "fr*"}}, "fruits", "allow"),
        ({"Null": {"aws:RequestTag/stack": "true"}}, None, "allow"),
        ({"Null": {"aws:RequestTag/stack": "true"}}, "fruits", "none"),
    ],
)
def test_conditions_hold_or_not(condition: dict[str, Any], tag: str | None, expected: str) -> None:
    context: dict[str, str | list[str]] = {} if tag is None else {"aws:RequestTag/stack": tag}
    asked = Question("elasticmapreduce:RunJobFlow", "*", context)
    assert decide([{"Statement": allow(Condition=condition)}], asked) == expected


def test_sets_of_values_are_compared_as_any_or_all_of_them() -> None:
    keys = Question("elasticmapreduce:AddTags", "*", {"aws:TagKeys": ["fruits-stack", "Project"]})
    any_of = allow(Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": "Project"}})
    all_of = allow(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["Project"]}})
    assert decide([{"Statement": any_of}], keys) == "allow"
    assert decide([{"Statement": all_of}], keys) == "none"


def test_a_trust_policy_names_services_and_principals() -> None:
    document = json.loads(trust("ec2"))
    asked = Question("sts:AssumeRole", "*", {})
    assert trusts(document, "ec2.amazonaws.com", "Service", asked)
    assert not trusts(document, "elasticmapreduce.amazonaws.com", "Service", asked)
    assert not trusts(document, f"arn:aws:iam::{ACCOUNT}:root", "AWS", asked)


def test_a_condition_the_evaluator_does_not_know_is_told() -> None:
    documents = [{"Statement": allow(Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01"}})}]
    with pytest.raises(ValueError, match="DateLessThan"):
        decide(documents, Question("s3:GetObject", "*", {"aws:CurrentTime": "2025-01-01"}))
