"""The archive of Spark's classes: used where it fits, made where it lacks, and never needed."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_steps.errors import FruitsError
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


def test_without_an_archive_java_gets_no_option_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert class_archive.java_options(session.find_java_home()) == []


@pytest.mark.parametrize("name", ["SPARK_CONF_DIR", "SPARK_HOME"])
def test_a_spark_of_the_users_own_gets_no_archive(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    archive = class_archive.archive_of(session.find_java_home())
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert class_archive.java_options(session.find_java_home())
    monkeypatch.setenv(name, str(tmp_path))
    assert class_archive.java_options(session.find_java_home()) == []


def test_an_archive_that_cannot_be_written_is_told_with_what_it_means(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "share").write_text("a file where a folder should be")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    with pytest.raises(FruitsError, match=r"could not be made in .*share/fruits.*Spark works without it"):
        class_archive_training.make(session.find_java_home())


def test_an_environment_gets_an_archive_made_from_a_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(class_archive, "_directory", lambda: tmp_path / "share")
    java_home = session.find_java_home()
    archive = class_archive_training.make(java_home)
    assert archive.stat().st_size > 1_000_000
    assert list((tmp_path / "share").iterdir()) == [archive], "nothing else is left"
