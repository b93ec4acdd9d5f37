"""Every deployment of the settings has an engine, and its place in the command line and the documentation."""

from typing import get_args

import click
import dagster as dg
import pytest

from fruits_assets.commands.run import run_command
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.engines.registry import LOCAL, entry_of
from fruits_assets.settings import Settings, read_settings
from tests.support.aws.engines import ENGINES
from tests.support.project import PROJECT

DEPLOYMENTS = get_args(Settings.model_fields["deployment"].annotation)
ELSEWHERE = [one for one in DEPLOYMENTS if one != LOCAL]


@pytest.mark.parametrize("deployment", ELSEWHERE)
def test_each_deployment_has_an_engine_and_a_step_launcher_of_dagsters(deployment: str) -> None:
    settings = read_settings(deployment=deployment, images="s3://data/Test", store="s3://data")
    launcher = entry_of(deployment).make_launcher(settings, ["extract_features"])
    assert isinstance(launcher, LaunchesSteps)
    assert isinstance(launcher, dg.StepLauncher)


def test_the_suite_of_engines_the_command_and_the_documentation_know_them_all() -> None:
    assert list(ENGINES) == ELSEWHERE
    (option,) = [one for one in run_command.params if one.name == "deployment"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == DEPLOYMENTS
    page = (PROJECT / "docs" / "engines.md").read_text()
    first, second = [line for line in page.splitlines() if line.startswith("| |")][:2]
    assert [cell.strip(" `") for cell in first.split("|")[2:-1]] == list(DEPLOYMENTS)
    assert [cell.strip(" `") for cell in second.split("|")[2:-1]] == ELSEWHERE
