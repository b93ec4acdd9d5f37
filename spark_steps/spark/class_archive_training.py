"""Makes the archive of Spark's classes from a small session: python -m spark_steps.spark.class_archive_training."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spark_steps.at_exit import temporary_directory
from spark_steps.errors import FruitsError
from spark_steps.spark.class_archive import MADE, TRAINING, archive_of, base_of
from spark_steps.spark.session import find_java_home, local_spark_config, start_workers, use_local_runtimes
from spark_steps.spark.tasks import run_in_tasks

_LONGEST_SECONDS = 300


def make(java_home: Path) -> Path:
    """Makes the archive from a small Spark session that uses the same operations as the steps; takes some 20 seconds.

    Args:
        java_home: A Java 17.

    Returns:
        The archive.

    Raises:
        FruitsError: The archive could not be made.
    """
    archive = archive_of(java_home)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with temporary_directory("fruits-", archive.parent) as directory:
            _make_base(java_home, directory / "base.jsa")
            _train(java_home, directory).replace(archive)
    except (OSError, subprocess.SubprocessError) as error:
        raise FruitsError(
            f"The archive of Spark's classes could not be made in {archive.parent}: {error}. Spark works without it, "
            "and takes some seconds longer to start."
        ) from error
    return archive


def _make_base(java_home: Path, made: Path) -> None:
    base = base_of(java_home)
    if not base.exists():
        command = [str(java_home / "bin" / "java"), "-Xshare:dump", f"-XX:SharedArchiveFile={made}"]
        subprocess.run(command, check=True, capture_output=True, timeout=_LONGEST_SECONDS)  # noqa: S603
        made.replace(base)


def _train(java_home: Path, directory: Path) -> Path:
    """Runs the session, whose Java writes the archive when it exits, and returns the path of the archive."""
    made = directory / MADE
    environment = {**os.environ, TRAINING: str(directory), "JAVA_HOME": str(java_home)}
    process = subprocess.run(
        [sys.executable, "-m", "spark_steps.spark.class_archive_training"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
        check=False,
    )
    if process.returncode or not made.exists():
        raise OSError(process.stderr.strip()[-500:] or "Java wrote none")
    return made


def _training(directory: str) -> None:
    """Runs tasks as the steps do, and queries as other assets may: compares, shuffles, writes and reads Parquet."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    use_local_runtimes()
    spark = SparkSession.builder.config(map=dict[str, Any](local_spark_config("2"))).getOrCreate()
    context = spark.sparkContext
    start_workers(spark)
    done, network = context.accumulator(0), context.broadcast(b"network")

    def lengths(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            done.add(1)
            yield item * len(network.value)

    run_in_tasks(context, [[number] for number in range(12)], lengths)
    files = spark.range(60).selectExpr(
        "concat(id, '.py') AS path", "id * 300 AS length", "current_timestamp() AS modificationTime", "id % 3 AS folder"
    )
    files = files.cache()
    files.where(~F.lower("path").endswith(".py")).collect()
    rows = files.repartition("folder").mapInArrow(lambda batches: batches, files.schema)
    rows.write.partitionBy("folder").parquet(f"{directory}/table")
    read = spark.read.parquet(f"{directory}/table").withColumn("error", F.coalesce(F.lit(None), F.lit("")))
    read.union(read).groupBy("folder", "path").agg(F.max("length")).groupBy("folder").agg(F.count("path")).collect()
    new = read.join(files.where("length > 9000").select("path"), "path", "left_anti")
    ordered = new.unionByName(read, allowMissingColumns=True).repartitionByRange(2, "folder", "path")
    ordered.sortWithinPartitions("folder", "path").mapInArrow(lambda batches: batches, ordered.schema).collect()
    java = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    spark.stop()
    spark.sparkContext._gateway.shutdown()  # type: ignore[union-attr]
    java.stdin.close()
    java.wait(_LONGEST_SECONDS)


def main() -> int:
    """Makes the archive unless it exists. A failure is printed but is not an error: Spark works without the archive."""
    if directory := os.environ.get(TRAINING):
        _training(directory)
        return 0
    java_home = find_java_home()
    if not archive_of(java_home).exists():
        try:
            make(java_home)
        except FruitsError as error:
            print(error, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
