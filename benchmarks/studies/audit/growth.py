"""What the audit costs as photos grow: seconds, processor time and peak memory, each size in processes of its own."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.studies.audit.made_up import sequences, write_store
from benchmarks.studies.folder_cost import processor_seconds
from benchmarks.studies.growth import sampled
from spark_steps.audit.settings import AuditSettings
from spark_steps.store.store import Store


@click.command()
@click.option("--photos", multiple=True, type=int, default=(10_000, 30_000, 100_000), help="May be given again.")
@click.option("--work", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where the stores go.")
def growth(photos: tuple[int, ...], work: Path | None) -> None:
    """Measure growth on made-up sequences of frames."""
    click.echo("| photos | seconds | processor seconds | peak PSS MiB: all | command | JVM | workers | groups |")
    click.echo("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for count in photos:
        with tempfile.TemporaryDirectory(dir=work) as directory:
            write_store(Path(directory) / "store", sequences(count, np.random.default_rng(0)))
            command = [sys.executable, "-m", "benchmarks.studies.audit", "one", "--store", f"{directory}/store"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                with sampled(process.pid) as peak:
                    told, _ = process.communicate()
                if process.returncode:
                    raise click.ClickException(f"The audit of {count:,} photos failed.")
            memory = " | ".join(f"{peak.mebibytes.get(kind, 0):,.0f}" for kind in ("all", "command", "java", "workers"))
            seconds, processor, groups = told.split()
            click.echo(f"| {count:,} | {seconds} | {processor} | {memory} | {groups} |")


@click.command()
@click.option("--store", required=True, help="A store with features.")
def one(store: str) -> None:
    """Audit a store once, and print seconds, processor seconds and groups."""
    from fruits_assets.resources import LocalPySparkResource
    from spark_steps.audit.plan import plan_findings, plan_splits
    from spark_steps.spark.session import local_spark_config

    made, settings = Store(store), AuditSettings()
    spark = LocalPySparkResource(spark_config=local_spark_config()).spark_session
    started = time.perf_counter()
    made.photo_splits.write(plan_splits(spark, made.mobilenet_features, made.photo_splits, settings).change)
    change = plan_findings(made.mobilenet_features, made.photo_splits, made.photo_audit, settings)
    made.photo_audit.write(change)
    seconds = time.perf_counter() - started
    groups = len(made.photo_splits.arrow(["group"])["group"].unique())
    processor = sum(processor_seconds(os.getpid()).values())
    spark.stop()
    click.echo(f"{seconds:.1f} {processor:.0f} {groups}")
