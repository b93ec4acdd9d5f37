"""The whole graph without a permission: one sentence, no cluster left, no row lost, and a good run afterwards.

These stand for all permissions of the stack, which ``make permissions`` takes away one by one (docs/permissions.md).
"""

from pathlib import Path

import pytest

from spark_steps.denials import REMEDY
from tests.emr_emulator import Emulator
from tests.support.aws.denied import DeniedRuns, permission
from tests.support.aws.emr_runs import empty_data_bucket, end_clusters

pytestmark = pytest.mark.timeout(600)
CLUSTER = "arn:aws:elasticmapreduce:eu-west-3:123456789012:cluster/"


@pytest.fixture(scope="module")
def denied_runs(aws: Emulator, network_file: Path) -> DeniedRuns:
    end_clusters(aws)
    empty_data_bucket(aws)
    return DeniedRuns(aws, network_file)


@pytest.fixture(autouse=True)
def permissions_are_enforced(aws: Emulator) -> None:
    aws.enforce_iam(True)


def test_where_nothing_can_be_created_one_sentence_names_the_action_and_nothing_is_said_of_a_cluster(
    denied_runs: DeniedRuns,
) -> None:
    one = permission("LauncherRole", "elasticmapreduce:ListClusters on *")
    with denied_runs.without(one):
        outcome = denied_runs.run(new=True)
        found = {check.name: check for check in denied_runs.examine()}
    assert outcome.sentence.endswith(
        "AWS denies to list the clusters: the role fruits-launcher-eu-west-3 lacks elasticmapreduce:ListClusters on *. "
        + REMEDY
    )
    assert outcome.created == 0
    assert not [line for line in outcome.said if "cluster" in line or "warning" in line]
    assert found["permissions"].state == "failed"
    assert found["permissions"].detail == "the launcher role lacks elasticmapreduce:ListClusters on *"


def test_a_cluster_that_emrs_role_cannot_launch_is_not_followed_by_another(denied_runs: DeniedRuns) -> None:
    with denied_runs.without(permission("ServiceRole", "iam:PassRole on NodeRole")):
        outcome = denied_runs.run(new=True)
    assert "has ended before it got a step: EMR could not create the cluster. EMR says" in outcome.sentence
    assert "insufficient EC2 permissions: iam:PassRole on arn:aws:iam::" in outcome.sentence
    assert (outcome.created, outcome.left) == (1, [])


def test_a_cluster_whose_steps_may_not_be_looked_at_is_ended_with_its_run(denied_runs: DeniedRuns) -> None:
    with denied_runs.without(permission("LauncherRole", "elasticmapreduce:ListSteps on *")):
        outcome = denied_runs.run(new=True)
    assert f"lacks elasticmapreduce:ListSteps on {CLUSTER}j-" in outcome.sentence
    assert (outcome.created, outcome.left) == (1, [])
    assert "is ended without a look whether it has more to do: AWS denies to list the steps of" in outcome.said[-1]


def test_what_the_nodes_may_not_write_is_named_and_a_run_that_may_makes_up_for_it(denied_runs: DeniedRuns) -> None:
    with denied_runs.without(permission("NodeRole", "s3:PutObject on DataBucket/Results/*")):
        outcome = denied_runs.run()
    assert "AWS denies access: the role fruits-node-eu-west-3 lacks s3:PutObject on arn:aws:s3:::" in outcome.sentence
    assert "botocore" not in outcome.sentence
    assert outcome.left == []
    # What the run before has committed is still there.
    assert outcome.rows["raw_images"] == 4
    good = denied_runs.run()
    assert good.is_good, good
    assert good.left == []
