"""The step launcher of EMR: Dagster's own, with what all engines share in place of its way to run a step."""

import warnings
from collections.abc import Sequence

from dagster_aws.emr.pyspark_step_launcher import EmrPySparkStepLauncher

from fruits_assets.engines.emr.engine import EmrEngine
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.settings import Settings


class FruitsEmrStepLauncher(LaunchesSteps, EmrPySparkStepLauncher):
    """Runs a step of an asset on the stack's cluster, and creates the cluster if there is none."""

    def __init__(self, settings: Settings, jobs: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            # The warning: Pipes supersedes step launchers. Pipes would move the code of an asset into another script.
            warnings.simplefilter("ignore")
            super().__init__(  # type: ignore[no-untyped-call]
                region_name=settings.region,
                # Bucket and cluster are those of the stack, which are looked up when a step is launched.
                staging_bucket="",
                staging_prefix="steps",
                wait_for_logs=False,
                action_on_failure="CONTINUE",
                cluster_id="",
                spark_config={},
                local_job_package_path="",
                deploy_local_job_package=True,
            )
        self.prepare(settings, jobs, EmrEngine)
