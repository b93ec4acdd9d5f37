"""The permissions of the stack's roles, as the template has them, and their page in the documentation."""

import re

from fruits_assets.aws.permissions import ROLES, template_permissions
from tests.emr_emulator.iam.policies import Question, decide
from tests.permissions import table
from tests.support.aws.permissions import without

VALUES = {
    "AWS::Region": "eu-west-3",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "fruits",
    "StagingBucket.Arn": "arn:aws:s3:::staging",
}


def test_the_template_is_read_with_each_action_of_each_statement_on_each_resource() -> None:
    found = {(one.role, one.title): one for one in template_permissions()}
    assert set(ROLES) == {role for role, _ in found}
    assert ("LauncherRole", "s3:PutObject on LockBucket/locks/*") in found
    assert ("NodeRole", "s3:GetObject on DataBucket/*") in found
    assert ("ServiceRole", "ec2:RunInstances on subnet/Subnet") in found
    add = found["LauncherRole", "elasticmapreduce:AddJobFlowSteps on cluster/*"].filled(VALUES)
    assert add.resource == "arn:aws:elasticmapreduce:eu-west-3:123456789012:cluster/*"
    assert add.context == (("elasticmapreduce:ResourceTag/fruits-stack", "fruits"),)
    # What it denies is no permission.
    assert not [title for _, title in found if title.startswith("elasticmapreduce:*")]


def test_one_permission_is_taken_away_and_no_other() -> None:
    (steps,) = [
        one
        for one in template_permissions()
        if (one.role, one.title) == ("LauncherRole", "s3:PutObject on StagingBucket/steps/*")
    ]
    resources = [f"arn:aws:s3:::staging/{prefix}/*" for prefix in ("environment", "steps")]
    policy = {"Statement": [{"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": resources}]}
    left = without(policy, steps.filled(VALUES))

    def may(action: str, key: str) -> bool:
        return decide([left], Question(action, f"arn:aws:s3:::staging/{key}")) == "allow"

    assert not may("s3:PutObject", "steps/run/1")
    assert may("s3:DeleteObject", "steps/run/1")
    assert may("s3:PutObject", "environment/current.json")
    assert may("s3:DeleteObject", "environment/current.json")


def test_the_page_names_every_permission_of_the_template_and_no_other() -> None:
    # In the order of the template, and with a list of those that were not tried: make permissions writes both.
    assert table.PAGE.read_text() == table.rewritten(table.read(), table.PAGE.read_text())
    text = table.PAGE.read_text()
    for one in template_permissions():
        assert f"`{one.title}`" in text


def test_each_row_of_the_page_names_what_is_denied_and_no_library_and_the_doctor_finds_it() -> None:
    known = table.read()
    # make permissions PERMISSIONS=--missing adds the row of a new one.
    assert [one.title for one in template_permissions() if not known.has(one)] == []
    for rows in known.rows.values():
        for row in rows:
            action = row.permission.partition(" ")[0]
            assert action in row.sentence or row.sentence.startswith("the run is good"), row
            assert not re.search("botocore|Traceback|Exception", row.sentence), row
            assert row.left == "none" or "until" in row.left, row
            assert row.doctor.startswith("`"), row


def test_a_message_is_the_same_for_each_run_that_ends_in_it() -> None:
    said = (
        "The run 3ab93a3e-2ef3-45ba-b6ea-e70517214071 of extract_features failed. AWS denies to list the steps of "
        "j-4LXGECHWAOZFO: the role fruits-launcher-eu-west-3 lacks elasticmapreduce:ListSteps on "
        "arn:aws:elasticmapreduce:eu-west-3:123456789012:cluster/j-4LXGECHWAOZFO. Check AWS_PROFILE; fruits doctor "
        "shows which permissions the stack's roles lack, and what gives them back."
    )
    assert table.short(said) == (
        "The run of extract_features failed. AWS denies to list the steps of j-...: the role fruits-launcher-eu-west-3 "
        "lacks elasticmapreduce:ListSteps on arn:aws:elasticmapreduce:eu-west-3::cluster/j-...."
    )
