"""The platform: the Dagster job ``extract_features``, which is raw_images, mobilenet_model and mobilenet_features."""

import os

from benchmarks.harness.job import read_job, tell
from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.settings import read_settings
from spark_steps.spark.session import start_in_background


def main() -> None:
    """Materializes the features of all folders, as ``fruits run`` does."""
    job = read_job()
    settings = read_settings(images=job.data, store=f"{job.output}/store", weights=job.flatbuffer, cores=str(job.cores))
    start_in_background(settings.spark_config)
    # Here, as in the command: while Spark starts.
    import dagster as dg

    from fruits_assets.definitions import build_definitions
    from fruits_assets.instance.internals import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
    from fruits_assets.jobs.pipeline import EXTRACT, register_folders

    ensure_dagster_home(settings.store)
    with dg.DagsterInstance.get() as instance:
        folders = register_folders(settings, instance, "*", lambda line: None)
        tags = {ASSET_PARTITION_RANGE_START_TAG: folders[0], ASSET_PARTITION_RANGE_END_TAG: folders[-1]}
        run = build_definitions(settings).resolve_job_def(EXTRACT.job)
        result = run.execute_in_process(run_config={"loggers": {"progress": {}}}, instance=instance, tags=tags)
        steps = {one.step_key: one for one in instance.get_run_step_stats(result.run_id)}
    asset = steps["mobilenet_features"]
    tell(asset_seconds=(asset.end_time or 0.0) - (asset.start_time or 0.0))


if __name__ == "__main__":
    main()
    # As the command ``fruits`` ends.
    os._exit(0)
