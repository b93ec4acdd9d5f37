"""The Dagster home: one for each store, and found again."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from filelock import FileLock

from fruits_assets.commands.cli import main
from fruits_assets.instance import home
from fruits_assets.instance.failures import readable
from spark_steps.errors import FruitsError


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setattr(home, "WORKSPACE", tmp_path / "no checkout")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_each_store_has_a_home_of_its_own_that_sends_no_telemetry(homes: Path) -> None:
    one, two = str(homes / "a" / "results"), str(homes / "b" / "results")
    first = home.ensure_dagster_home(one)
    assert os.environ["DAGSTER_HOME"] == str(first)
    assert "telemetry:\n  enabled: false" in (first / "dagster.yaml").read_text()
    os.environ["DAGSTER_HOME"] = ""
    assert home.ensure_dagster_home(two) != first
    os.environ["DAGSTER_HOME"] = ""
    assert home.ensure_dagster_home(one) == first


def test_the_home_of_a_store_of_any_name_has_a_path_that_dagster_reads_its_configuration_from(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("what? [x]* %41 #{y}~ 梨", "100%"):
        monkeypatch.setenv("DAGSTER_HOME", "")
        made = home.ensure_dagster_home(str(homes / name))
        assert (made / "history").is_dir()
        with dg.DagsterInstance.get() as instance:
            assert instance.get_settings("telemetry") == {"enabled": False}
    for name in ("what?", "[x]", "a*", "%41"):
        monkeypatch.setenv("DAGSTER_HOME", str(homes / name))
        with pytest.raises(FruitsError, match=r"Dagster cannot use the home .* Set DAGSTER_HOME"):
            home.ensure_dagster_home(str(homes / "results"))
        assert not (homes / name).exists()


def test_a_home_that_cannot_be_written_is_told_with_its_variable(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (homes / "file").touch()
    for given in (homes / "file", homes / "file" / "below"):
        monkeypatch.setenv("DAGSTER_HOME", str(given))
        with pytest.raises(FruitsError, match=f"Dagster cannot keep its runs in {given}: .*Set DAGSTER_HOME"):
            home.dagster_home(str(homes / "results"))


def test_a_home_with_an_earlier_configuration_of_ours_gets_the_present_one(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.ensure_dagster_home(str(homes / "results")) / "dagster.yaml"
    present = file.read_text()
    file.write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setattr(home, "_EARLIER_CONFIGURATIONS", {hashlib.sha256(file.read_bytes()).hexdigest()})
    home.ensure_dagster_home(str(homes / "results"))
    assert file.read_text() == present
    edited = present + "# mine\n"
    file.write_text(edited)
    home.ensure_dagster_home(str(homes / "results"))
    assert file.read_text() == edited


def test_the_last_store_is_the_one_worked_on_last_that_is_still_there(homes: Path) -> None:
    assert home.last_store() is None
    for name in ("one", "two", "gone"):
        os.environ["DAGSTER_HOME"] = ""
        note = home.ensure_dagster_home(str(homes / name)) / "store.txt"
        os.utime(note, (len(name), len(name)))
    os.environ["DAGSTER_HOME"] = ""
    (homes / "two").mkdir()
    assert home.last_store() == str(homes / "two")


def test_two_processes_that_come_to_a_new_home_at_once_do_not_both_make_its_databases(homes: Path) -> None:
    made = homes / "home" / "history" / "runs.db"
    made.parent.parent.mkdir()
    os.environ["DAGSTER_HOME"] = str(homes / "home")
    with ThreadPoolExecutor(1) as second:
        with FileLock(homes / "home" / ".databases.lock"):
            waiting = second.submit(home.ensure_dagster_home, "/store")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            assert not made.exists()
        waiting.result(timeout=60)
    assert made.exists()


def test_env_prints_what_dagsters_own_commands_need(homes: Path) -> None:
    printed = CliRunner().invoke(main, ["env", "--images", "/p/my photos", "--store", "/p/s"]).stdout
    assert "export FRUITS_IMAGES='/p/my photos'" in printed
    assert "export FRUITS_STORE=/p/s" in printed
    assert "export DAGSTER_HOME=" in printed


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("spark_steps.errors.FruitsError: results.json is gone. Make it.\n", "results.json is gone. Make it."),
        ("x.PythonException: \n  File a\nspark_steps.errors.FruitsError: Mend it.\n", "Mend it."),
        (
            "py4j.Py4JJavaError: An error occurred while calling o5.load.\n: java.io.IOException: disk\n\tat a.b(c)",
            "java.io.IOException: disk",
        ),
        ("DagsterInvariant: Range Apple to\n  Plum is wrong\n", "DagsterInvariant: Range Apple to Plum is wrong"),
    ],
)
def test_an_error_is_told_without_its_wrappers_and_traces(message: str, told: str) -> None:
    assert readable(message) == told
