"""When Java gets an archive of Spark's classes, and when none."""

from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.spark import class_archive, class_archive_training, session


def test_without_an_archive_java_gets_no_option_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert class_archive.java_options(session.find_java_home()) == []


def test_an_archive_that_cannot_be_written_is_told_with_what_it_means(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "share").write_text("a file where a folder should be")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    with pytest.raises(FruitsError, match=r"could not be made in .*share/fruits.*Spark works without it"):
        class_archive_training.make(session.find_java_home())
