"""Every deployment of the settings has an engine, and its place in the command line and the documentation."""

import ast
import re
from types import SimpleNamespace
from typing import Any, get_args

import click
import dagster as dg
import pytest

from fruits_assets.commands.run import run_command
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.engines.registry import LOCAL, entry_of
from fruits_assets.settings import Settings, read_settings
from tests.support.aws.engines import ENGINES, benches
from tests.support.project import PROJECT

DEPLOYMENTS = get_args(Settings.model_fields["deployment"].annotation)
NO_EMULATOR: Any = SimpleNamespace(endpoint="http://nowhere")
ELSEWHERE = [one for one in DEPLOYMENTS if one != LOCAL]


@pytest.mark.parametrize("deployment", ELSEWHERE)
def test_each_deployment_has_an_engine_and_a_step_launcher_of_dagsters(deployment: str) -> None:
    settings = read_settings(deployment=deployment, images="s3://data/Test", store="s3://data")
    launcher = entry_of(deployment).make_launcher(settings, ["extract_features"])
    assert isinstance(launcher, LaunchesSteps)
    assert isinstance(launcher, dg.StepLauncher)


def rows_of(table: int) -> list[list[str]]:
    """Returns the cells of a table of the page on engines, row by row, the heading's row first."""
    page = (PROJECT / "docs" / "engines.md").read_text()
    lines = (
        page[[at.start() for at in re.finditer(r"^\| \|", page, re.MULTILINE)][table] :].split("\n\n")[0].splitlines()
    )
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines if not line.startswith("|---")]
    return [[cell.strip("|` ") for cell in row] for row in cells]


def suite_of_engines() -> dict[str, set[str]]:
    """Returns the arguments of each test in the suite of all engines."""
    files = (PROJECT / "tests" / "engines").glob("test_*.py")
    functions = [
        one for file in files for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.FunctionDef)
    ]
    found = [one for one in functions if one.name.startswith("test_")]
    return {one.name: {argument.arg for argument in one.args.args} for one in found}


# What takes one engine after the other by itself.
TAKES_ALL = {"test_each_engine_after_the_other_writes_all_tables_of_one_store_as_a_run_on_this_machine_does"}


def test_the_suite_of_engines_the_command_and_the_documentation_know_them_all() -> None:
    assert list(ENGINES) == ELSEWHERE
    assert [bench.deployment for bench in benches(NO_EMULATOR).values()] == ELSEWHERE
    (option,) = [one for one in run_command.params if one.name == "deployment"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == DEPLOYMENTS
    assert rows_of(0)[0][1:] == list(DEPLOYMENTS)
    assert rows_of(1)[0][1:] == [*ELSEWHERE, "shown by"]


def test_each_row_of_what_engines_do_names_a_test_that_takes_each_of_them_and_each_such_test_has_a_row() -> None:
    tests, rows = suite_of_engines(), rows_of(1)[1:]
    for_each = {name for name, arguments in tests.items() if "engine" in arguments} | TAKES_ALL
    assert {row[-1] for row in rows} == for_each
    for row in rows:
        assert len(row) == len(ELSEWHERE) + 2, row
        assert all(row), row


def test_the_page_says_of_which_engine_a_single_job_is_billed() -> None:
    (row,) = [row for row in rows_of(1) if row[0].startswith("what a job was billed")]
    told = {one: entry_of(one).make_engine.tells_billed for one in ELSEWHERE}  # type: ignore[attr-defined]
    assert {one: cell == "yes" for one, cell in zip(ELSEWHERE, row[1:-1], strict=True)} == told
