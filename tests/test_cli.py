"""The command itself: what it lists, and what it does not import for that."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from fruits_assets.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").replace("\b", "").split("\n\n")[0].replace("\n", " ").strip() == COMMANDS[name][1]


def test_an_unknown_command_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(main, ["indentify"])
    assert done.exit_code == 2
    assert "No such command 'indentify'" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["identify", "--help"], ["report", "--help"]])
def test_help_imports_neither_spark_nor_dagster(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom fruits_assets.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "sys.exit(' '.join(name for name in ('pyspark', 'dagster', 'boto3') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
