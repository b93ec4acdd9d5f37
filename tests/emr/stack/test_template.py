"""The CloudFormation template, read and not made."""

import subprocess
import sys
from pathlib import Path

import yaml

from fruits_assets.aws.infrastructure import MANAGED_POLICIES_TAG, TEMPLATE
from fruits_assets.aws.permissions import read_template
from fruits_assets.commands.aws.deploy import BUDGET_REGIONS
from fruits_assets.settings import EU_REGIONS
from tests.support.aws.stack import resources


def test_cfn_lint_has_nothing_to_say_in_any_region_of_the_eu() -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", *EU_REGIONS, "--", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_template_has_no_yaml_aliases_which_cloudformation_refuses() -> None:
    assert not [event for event in yaml.parse(TEMPLATE.read_text()) if isinstance(event, yaml.AliasEvent)]


def test_the_template_fits_into_a_request() -> None:
    assert TEMPLATE.stat().st_size < 51_200


def test_a_region_outside_the_eu_is_refused() -> None:
    template = read_template()
    (assertion,) = template["Rules"]["EuropeanUnion"]["Assertions"]
    regions, region = assertion["Assert"]["Fn::Contains"]
    assert tuple(regions) == EU_REGIONS
    assert region == {"Ref": "AWS::Region"}
    assert "European Union" in assertion["AssertDescription"]


def test_the_budget_is_made_where_cloudformation_has_budgets() -> None:
    template = read_template()
    _, regions = template["Conditions"]["HasAlarm"]["Fn::And"]
    assert tuple(one["Fn::Equals"][1] for one in regions["Fn::Or"]) == BUDGET_REGIONS
    (budget,) = resources("AWS::Budgets::Budget").values()
    thresholds = [
        (one["Notification"]["NotificationType"], one["Notification"]["Threshold"])
        for one in budget["Properties"]["NotificationsWithSubscribers"]
    ]
    assert thresholds == [("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    # A budget of a fixed name cannot be replaced, and its subscribers can only be given when it is made.
    assert "BudgetName" not in budget["Properties"]["Budget"]


def test_both_buckets_are_encrypted_private_and_without_foreign_owners() -> None:
    buckets = resources("AWS::S3::Bucket")
    assert set(buckets) == {"DataBucket", "StagingBucket"}
    for bucket in buckets.values():
        properties = bucket["Properties"]
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert list(properties["PublicAccessBlockConfiguration"].values()) == [True] * 4
        assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in properties["LifecycleConfiguration"]["Rules"])


def test_data_outlives_the_stack_and_its_former_versions_do_not_pile_up() -> None:
    bucket = resources("AWS::S3::Bucket")["DataBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert any(
        "NoncurrentVersionExpiration" in rule for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    )


def test_steps_and_logs_expire_and_the_environment_stays() -> None:
    rules = resources("AWS::S3::Bucket")["StagingBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring == {"steps/": {"Ref": "StagingDays"}, "logs/": {"Ref": "LogDays"}}


def test_the_network_lets_nobody_in_and_costs_nothing_when_idle() -> None:
    assert all("SecurityGroupIngress" not in one["Properties"] for one in resources("AWS::EC2::SecurityGroup").values())
    for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::NatGateway", "AWS::EC2::EIP"):
        assert resources(kind) == {}
    (endpoint,) = resources("AWS::EC2::VPCEndpoint").values()
    assert endpoint["Properties"]["VpcEndpointType"] == "Gateway"


def test_emr_may_use_the_network_by_its_tag() -> None:
    for kind in ("AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"):
        for resource in resources(kind).values():
            assert {"Key": MANAGED_POLICIES_TAG, "Value": "true"} in resource["Properties"]["Tags"]


def test_nodes_answer_only_the_second_version_of_the_metadata_service() -> None:
    (configuration,) = resources("AWS::EMR::SecurityConfiguration").values()
    metadata = configuration["Properties"]["SecurityConfiguration"]["InstanceMetadataServiceConfiguration"]
    assert metadata["MinimumInstanceMetadataServiceVersion"] == 2


def test_the_guards_role_ends_clusters_of_its_stack_for_scheduler_in_its_account_and_does_nothing_else() -> None:
    (policy,) = [
        one["Properties"]
        for one in resources("AWS::IAM::Policy").values()
        if one["Properties"]["PolicyName"] == "guard"
    ]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["elasticmapreduce:TerminateJobFlows", "elasticmapreduce:SetTerminationProtection"]
    assert statement["Condition"] == {
        "StringEquals": {"elasticmapreduce:ResourceTag/fruits-stack": {"Ref": "AWS::StackName"}}
    }
    role = resources("AWS::IAM::Role")["GuardRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_photos_expire_only_where_somebody_has_said_when_and_former_versions_always() -> None:
    parameters = read_template()["Parameters"]
    assert {name: parameters[name]["Default"] for name in ("PhotoDays", "FormerVersionDays", "PhotosPrefix")} == {
        "PhotoDays": 0,
        "FormerVersionDays": 30,
        "PhotosPrefix": "Test",
    }
    rules = resources("AWS::S3::Bucket")["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (photos,) = [rule["Fn::If"] for rule in rules if "Fn::If" in rule]
    assert photos[0] == "PhotosExpire"
    assert photos[1]["ExpirationInDays"] == {"Ref": "PhotoDays"}
    assert photos[1]["Prefix"] == {"Fn::Sub": "${PhotosPrefix}/"}
    assert photos[2] == {"Ref": "AWS::NoValue"}
    # No rule deletes what is current of the tables.
    assert not [rule for rule in rules if "ExpirationInDays" in rule]
    (former,) = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
    assert former["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "FormerVersionDays"}}
