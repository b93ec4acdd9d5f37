"""The archive of Spark's classes: used where it fits, made where it lacks, and never needed."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_steps.spark import class_archive, class_archive_training, session

MAKES_IT = sorted(Path(session.__file__).parent.glob("*.py"))


def test_spark_has_the_archive_of_its_classes_mapped(spark: SparkSession) -> None:
    java_home = session.find_java_home()
    if not class_archive.archive_of(java_home).exists():
        pytest.skip("make setup makes the archive")
    java = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    maps = Path(f"/proc/{java.pid}/maps")
    if not maps.exists():
        pytest.skip("only Linux tells which files a process has mapped")
    assert str(class_archive.archive_of(java_home)) in maps.read_text()


def test_an_environment_gets_an_archive_made_from_a_session() -> None:
    java_home = session.find_java_home()
    archive = class_archive.archive_of(java_home)
    # That of make setup, where nothing that makes it has changed since: Java takes long to make one.
    if not archive.exists() or archive.stat().st_mtime < max(file.stat().st_mtime for file in MAKES_IT):
        assert class_archive_training.make(java_home) == archive
    assert archive.stat().st_size > 1_000_000
    assert not [left for left in archive.parent.iterdir() if left.is_dir()], "nothing else is left"
