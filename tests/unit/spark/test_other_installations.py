"""What an environment says of other installations of Spark, Hadoop and Python, and what of it a session follows."""

import os
import resource
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.spark import other_installations, session
from spark_steps.spark.other_installations import check_python_path, not_followed


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that is put back, where variables are removed anew."""
    before = dict(os.environ)
    other_installations.unset_other_installations.cache_clear()
    yield
    os.environ.clear()
    os.environ.update(before)


def test_no_variable_of_another_spark_hadoop_or_python_reaches_java_and_the_workers(
    environment: None, tmp_path: Path
) -> None:
    foreign = {
        **{"SPARK_HOME": "/opt/gone", "SPARK_CONF_DIR": "/etc/spark", "SPARK_REMOTE": "sc://nowhere:15002"},
        **{"SPARK_MASTER": "yarn", "SPARK_SUBMIT_OPTS": "-XX:+Wrong", "SPARK_LAUNCHER_OPTS": "-XX:+Wrong"},
        **{"SPARK_DAEMON_JAVA_OPTS": "-XX:+Wrong", "SPARK_LOCAL_DIRS": "/mnt/spark", "SPARK_TESTING": "1"},
        **{"PYSPARK_SUBMIT_ARGS": "--master yarn", "PYSPARK_GATEWAY_PORT": "1", "PYSPARK_DRIVER_PYTHON_OPTS": "lab"},
        **{"PYSPARK_PYTHON": "python2", "PYSPARK_DRIVER_PYTHON": "jupyter", "_PYSPARK_DRIVER_CALLBACK_PORT": "1"},
        **{"HADOOP_CONF_DIR": str(tmp_path), "YARN_CONF_DIR": str(tmp_path), "HADOOP_HOME": "/opt/gone"},
        **{"MASTER": "yarn", "DEPLOY_MODE": "production", "_JAVA_OPTIONS": "-Xmx48m"},
    }
    os.environ.update(foreign)
    assert not_followed(foreign) == sorted(foreign)
    session.use_local_runtimes()
    left = {name: os.environ[name] for name in foreign if name in os.environ}
    spark = find_spec("pyspark")
    assert spark is not None
    assert left == {
        "SPARK_HOME": str(Path(str(spark.origin)).parent),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    # What PySpark itself has set since the first session stays.
    os.environ["SPARK_BUFFER_SIZE"] = "65536"
    session.use_local_runtimes()
    assert os.environ["SPARK_BUFFER_SIZE"] == "65536"


def test_what_is_meant_for_any_program_is_followed() -> None:
    names = ["JAVA_HOME", "JAVA_TOOL_OPTIONS", "TMPDIR", "PATH", "FRUITS_CORES", "AWS_PROFILE", "http_proxy", "SPARKLE"]
    assert not_followed(names) == []


@pytest.mark.parametrize("locale", ["C", "fr_FR.UTF-8", "de_DE.ISO-8859-1", ""])
def test_java_reads_names_with_accents_under_any_locale_installed_or_not(environment: None, locale: str) -> None:
    os.environ["LC_ALL"] = locale
    session.use_local_runtimes()
    assert os.environ["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize("as_file", [True, False])
def test_another_version_of_a_package_on_pythonpath_is_refused_by_its_place(
    as_file: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "pandas.py" if as_file else tmp_path / "pandas" / "__init__.py"
    other.parent.mkdir(exist_ok=True)
    other.write_text("__version__ = '0.1'")
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}{tmp_path}")
    with pytest.raises(FruitsError, match=rf"PYTHONPATH has another pandas, {other}, .*unset PYTHONPATH"):
        check_python_path()


def test_a_pythonpath_with_other_modules_or_the_installed_packages_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own_module.py").touch()
    # A folder of photos named pandas is no package.
    (tmp_path / "pandas").mkdir()
    installed = Path(pytest.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{installed}")
    check_python_path()


def test_too_few_open_files_are_told_before_java_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 256))
    with pytest.raises(FruitsError, match=r"only 256 files open \(ulimit -n\).*needs 512"):
        session.use_local_runtimes()


def test_no_place_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "gone")])
    with pytest.raises(FruitsError, match=r"There is no directory for temporary files: .*gone.*Set TMPDIR"):
        session.local_spark_config()


def test_temporary_files_of_spark_and_java_follow_tmpdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    config = session.local_spark_config()
    assert config["spark.local.dir"] == str(tmp_path)
    assert f'"-Djava.io.tmpdir={tmp_path}"' in config["spark.driver.extraJavaOptions"]
    monkeypatch.setattr("tempfile.tempdir", None)


def test_a_java_17_that_may_not_be_run_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.9"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert session.find_java_home() != tmp_path
