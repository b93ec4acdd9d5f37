"""One composition root: importing builds nothing and reads no setting, and options go before the environment."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import main
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.home import instance_at_the_terminal
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import CHECK_FAILED_TAG
from fruits_assets.jobs.due import Due
from fruits_assets.jobs.look import is_up_to_date
from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import Settings, read_settings
from spark_steps.errors import CalledWronglyError
from tests.support.pipeline import run_pipeline
from tests.support.project import PROJECT

MODULES = sorted(
    ".".join(file.relative_to(PROJECT).with_suffix("").parts)
    for package in ("fruits_assets", "spark_steps")
    for file in (PROJECT / package).rglob("*.py")
    if file.name not in ("__init__.py", "__main__.py")
)
# Each module, in one process; a setting that is read, or a Definitions that is made, is an error.
IMPORT_ALL = """
import importlib, sys
import dagster as dg
import pydantic_settings
def refuse(*args, **kwargs):
    raise AssertionError("built or read at import")
pydantic_settings.BaseSettings.__init__ = refuse
dg.Definitions.__new__ = refuse
for module in sys.argv[1:]:
    importlib.import_module(module)
"""


def test_importing_any_module_builds_no_code_location_and_reads_no_setting() -> None:
    assert len(MODULES) > 100
    bad = {"FRUITS_DEPLOYMENT": "emr", "FRUITS_STORE": "nonsense://x", "FRUITS_COMPONENTS": "many"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *MODULES],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **bad},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# Java would be a process.
WITHOUT_PROCESSES = """
import subprocess, sys
subprocess.Popen = None
from fruits_assets.commands.cli import main
main(sys.argv[1:], standalone_mode=False)
assert "dagster" not in sys.modules
"""


def test_options_go_before_an_environment_that_would_not_do_and_a_run_with_nothing_new_starts_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network_file: Path
) -> None:
    write_sample(tmp_path / "photos", photos_per_folder=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for name, value in {"DEPLOYMENT": "emr", "STORE": "nonsense", "IMAGES": "ftp://x", "WEIGHTS": "none.h5"}.items():
        monkeypatch.setenv(f"FRUITS_{name}", value)
    given = ["--images", "photos", "--store", "results", "--weights", str(network_file), "--folders", "Lemon"]
    done = CliRunner().invoke(main, ["run", *given, "--deployment", "local"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "results" / "PCA_Results").is_dir()
    assert not (tmp_path / "nonsense").exists()

    # All folders, of which one is up to date.
    done = CliRunner().invoke(main, ["run", *given[:-2], "--deployment", "local"])
    assert done.exit_code == 0, done.output
    assert "raw_images: 14 photos, folders: 7" in done.output
    again = subprocess.run(
        [sys.executable, "-c", WITHOUT_PROCESSES, "run", *given[:-2], "--deployment", "local"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "Nothing is new" in again.stderr
    assert "16 in 8 folders" in again.stdout

    settings = read_settings(images="photos", store="results", weights=str(network_file), deployment="local")
    home = tmp_path / "home"
    assert is_up_to_date(settings, home, ["*"], lambda line: None)
    recorded = json.loads((home / "recorded.json").read_text())
    others: list[Any] = [recorded | {"state": {}}, recorded | {"folders": ["Kiwi"]}, {"x": 1}, [], 5, "text"]
    for other in others:
        (home / "recorded.json").write_text(json.dumps(other))
        assert is_up_to_date(settings, home, ["*"], lambda line: None) is None
    (home / "recorded.json").write_text(json.dumps(recorded))
    assert is_up_to_date(settings, home, ["*"], lambda line: None)

    # What happens in Dagster is not seen, so it is not trusted after anything has happened there.
    with instance_at_the_terminal(home) as instance:
        instance.delete_dynamic_partition(IMAGE_FOLDERS, "Lemon")
    assert is_up_to_date(settings, home, ["*"], lambda line: None) is None


def test_a_stage_whose_last_run_failed_or_failed_a_check_is_due(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run_pipeline(settings, instance, say=lambda line: None)
    due, wanted = Due(settings, instance), ["Banana", "Lemon"]
    assert (due.to_featurise(wanted), due.pca(), due.to_reduce()) == ([], False, [])
    last = {run.job_name: run.run_id for run in instance.get_runs()}
    for job in ("extract_features", "reduce_folders"):
        instance.add_run_tags(last[job], {CHECK_FAILED_TAG: "some check"})
    assert (due.to_featurise(wanted), due.pca(), len(due.to_reduce())) == (wanted, False, 8)
    instance.create_run_for_job(build_definitions(settings).resolve_job_def("fit_pca"))
    assert due.pca()


def test_without_the_option_the_message_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRUITS_DEPLOYMENT", "emr")
    done = CliRunner().invoke(main, ["run", "--images", "photos", "--store", "results"])
    assert done.exit_code == 2
    assert "FRUITS_DEPLOYMENT is emr" in done.output


def test_the_former_name_of_a_setting_goes_on_working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_CORE_NODES_MOST", "3")
    assert read_settings().max_core_nodes == 3
    assert read_settings(max_core_nodes=2).max_core_nodes == 2
    monkeypatch.setenv("FRUITS_MAX_CORE_NODES", "2")
    assert read_settings().as_environment()["FRUITS_MAX_CORE_NODES"] == "2"
    monkeypatch.setenv("MAX_CORE_NODES", "100")
    assert read_settings().max_core_nodes == 2, "only variables that begin with FRUITS_ are ours"
    monkeypatch.setenv("FRUITS_MAX_CORE_NODES", "9")
    with pytest.raises(CalledWronglyError, match=r"Setting max_core_nodes \(FRUITS_MAX_CORE_NODES\) = '9'"):
        read_settings()


def written_environments(file: Path) -> list[int]:
    """Returns the lines of a file that change the environment of the process."""
    lines = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Assign | ast.Delete):
            lines += [node.lineno for one in node.targets if ast.unparse(one).startswith("os.environ[")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "os.environ.update",
            "os.environ.setdefault",
            "os.environ.pop",
            "os.putenv",
            "os.unsetenv",
        }:
            lines.append(node.lineno)
    return lines


def test_the_environment_of_the_process_is_written_in_one_module() -> None:
    files = [file for package in ("fruits_assets", "spark_steps") for file in (PROJECT / package).rglob("*.py")]
    writers = {file.relative_to(PROJECT).as_posix() for file in files if written_environments(file)}
    # step_main stands alone on the cluster until the project's code is there.
    assert writers == {"spark_steps/environment.py", "spark_steps/step_main.py"}


def test_a_home_whose_dagster_yaml_names_the_former_module_of_the_event_storage_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    now = (PROJECT / "fruits_assets" / "instance" / "dagster.yaml").read_text()
    former = now.replace("fruits_assets.instance.event_storage", "fruits_assets.event_storage")
    assert former != now
    (tmp_path / "dagster.yaml").write_text(f"{former}\n# edited by somebody\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("some", ["A"])
        assert type(instance.event_log_storage).__name__ == "BatchedSqliteEventLogStorage"
