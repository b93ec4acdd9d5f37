"""What Dagster's records of a range of folders cost: with its own storage, and with the platform's.

``python -m benchmarks.studies.dagster_events --folders 1000`` runs two assets without any work on so many folders, in
turn with each storage, each run in a Dagster home of its own. It measures processor time: what the disk takes for each
transaction differs from machine to machine.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import click
import dagster as dg

from fruits_assets.assets.metadata import add_to_partitions
from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.instance.internals import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

_WAYS = ("Dagster's own", "the platform's")
_NAMES = ("path", "photos", "bytes", "cost", "rate", "files")


class _TellsItsFolder(dg.IOManager):
    """Gives each folder six values of metadata."""

    def __init__(self, way: str) -> None:
        self._way = way

    def handle_output(self, context: dg.OutputContext, obj: int) -> None:
        described = {folder: dict.fromkeys(_NAMES, folder) for folder in context.asset_partition_keys}
        if self._way == "the platform's":
            add_to_partitions(context.step_context, described)
            return
        for folder, metadata in described.items():
            context.step_context.add_asset_metadata(metadata, partition_key=folder)

    def load_input(self, context: dg.InputContext) -> int:
        return 0


def run(way: str, folders: int, directory: Path) -> float:
    """Returns the seconds of processor time of a run of both assets on all folders."""
    home = directory / "home"
    home.mkdir()
    os.environ["DAGSTER_HOME"] = str(home)
    if way == "Dagster's own":
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    ensure_dagster_home(str(directory / "store"))
    partitions = dg.DynamicPartitionsDefinition(name="folders")
    manager, policy = _TellsItsFolder(way), dg.BackfillPolicy.single_run()

    @dg.asset(partitions_def=partitions, backfill_policy=policy, io_manager_def=manager)
    def first() -> int:
        return 0

    @dg.asset(partitions_def=partitions, backfill_policy=policy, io_manager_def=manager)
    def second(first: int) -> int:
        return first

    job = dg.Definitions([first, second], jobs=[dg.define_asset_job("both")]).resolve_job_def("both")
    names = [f"Fruit {number:05}" for number in range(folders)]
    tags = {ASSET_PARTITION_RANGE_START_TAG: names[0], ASSET_PARTITION_RANGE_END_TAG: names[-1]}
    # Without a line of log for each event, as in fruits run.
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("folders", names)
        started = time.process_time()
        job.execute_in_process(run_config=quiet, instance=instance, tags=tags)
        return time.process_time() - started


@click.command()
@click.option("--folders", default=1000, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
def main(folders: int, rounds: int) -> None:
    """Print medians, and their ratio."""
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way in _WAYS:
            # Set by the platform's storage, for all that come after it.
            os.environ.pop("DAGSTER_EVENT_BATCH_SIZE", None)
            with tempfile.TemporaryDirectory() as directory:
                seconds[way].append(run(way, folders, Path(directory)))
    medians = {way: statistics.median(of_way) for way, of_way in seconds.items()}
    for way, median in medians.items():
        of_event = median * 1000 / (4 * folders)
        spread = f"{min(seconds[way]):.1f} to {max(seconds[way]):.1f}"
        click.echo(f"{way}: {median:.1f} s ({spread}), {folders:,} folders; {of_event:.2f} ms an event")
    click.echo(f"ratio {medians[_WAYS[0]] / medians[_WAYS[1]]:.1f}")


if __name__ == "__main__":
    main()
