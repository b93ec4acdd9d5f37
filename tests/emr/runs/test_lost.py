"""Drivers, clusters and launching processes that are lost while a step runs."""

import dagster as dg
import pytest

from fruits_assets.assets import raw_images
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import (
    clusters,
    failure_of,
    in_background,
    materialize_raw_images,
    running_step,
)


@pytest.mark.usefixtures("no_other_cluster")
def test_a_cluster_that_is_terminated_under_way_is_told_and_not_made_again(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    before = len(clusters(aws))

    def terminate() -> None:
        running_step(aws)
        aws.client("emr").terminate_job_flows(JobFlowIds=[clusters(aws)[-1]["id"]])

    in_background(terminate)
    told = failure_of(materialize_raw_images(aws, emr, instance))
    assert "the cluster was terminated while the step was under way" in told
    assert len(clusters(aws)) == before + 1
    assert not instance.fetch_materializations(raw_images.key, limit=10).records


@pytest.mark.usefixtures("no_other_cluster")
def test_a_cluster_lost_with_its_master_is_replaced_by_another_for_the_retry(
    aws: Emulator, emr: Settings, instance: dg.DagsterInstance
) -> None:
    def lose() -> None:
        running_step(aws)
        aws.lose_node(clusters(aws)[-1]["id"], "master")

    in_background(lose)
    before = len(clusters(aws))
    result = materialize_raw_images(aws, emr, instance)
    assert result.success, failure_of(result)
    assert len(clusters(aws)) == before + 2
    assert len(instance.fetch_materializations(raw_images.key, limit=10).records) == 1
