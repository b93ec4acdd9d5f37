"""The archive of Spark's classes: used where it fits, made where it lacks, and never needed."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_steps.spark import class_archive, class_archive_training, session


def test_spark_has_the_archive_of_its_classes_mapped(spark: SparkSession) -> None:
    java_home = session.find_java_home()
    if not class_archive.archive_of(java_home).exists():
        pytest.skip("make setup makes the archive")
    java = spark.sparkContext._gateway.proc  # type: ignore[union-attr]
    maps = Path(f"/proc/{java.pid}/maps")
    if not maps.exists():
        pytest.skip("only Linux tells which files a process has mapped")
    assert str(class_archive.archive_of(java_home)) in maps.read_text()


def test_an_environment_gets_an_archive_made_from_a_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(class_archive, "_directory", lambda: tmp_path / "share")
    java_home = session.find_java_home()
    archive = class_archive_training.make(java_home)
    assert archive.stat().st_size > 1_000_000
    assert list((tmp_path / "share").iterdir()) == [archive], "nothing else is left"
