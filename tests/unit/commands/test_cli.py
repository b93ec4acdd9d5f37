"""The command itself: what it lists, and what it does not import for that."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import COMMANDS, main


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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_of_it(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert f"fruits {name}" in done.stdout.partition("Example")[2]


def completed(*words: str) -> list[str]:
    """What the shell is offered for the last of some words, as ``type,value``."""
    variables = {"_FRUITS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = CliRunner().invoke(main, [], prog_name="fruits", env=variables)
    return done.stdout.split()


def test_commands_options_and_their_values_are_completed() -> None:
    assert completed("fruits", "e") == ["plain,export", "plain,erase", "plain,env", "plain,estimate"]
    assert completed("fruits", "run", "--var") == ["plain,--variance"]
    assert completed("fruits", "run", "--weights", "i") == ["plain,imagenet"]
    assert completed("fruits", "run", "--weights", "my") == ["file,my"]
    assert completed("fruits", "run", "--images", "pho") == ["dir,pho"]
    assert completed("fruits", "erase", "--path", "photos/Fig/1") == ["file,photos/Fig/1"]
    assert completed("fruits", "erase", "--o") == ["plain,--older-than"]
    assert completed("fruits", "completion", "") == ["plain,bash", "plain,zsh", "plain,fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_what_it_needs_for_that(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_FRUITS_COMPLETE={shell}_complete" in done.stdout


def test_what_a_script_evaluates_it_can_have_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(main, ["env", "--images", "/photos", "--store", str(tmp_path), "--json"])
    assert json.loads(done.stdout) == {
        "FRUITS_IMAGES": "/photos",
        "FRUITS_STORE": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["completion", "bash"], 0),
        (["report", "--store", "/nowhere"], 1),
        (["doctor"], 1),
        (["run", "--component", "five"], 2),
        (["run", "--components", "0"], 2),
        (["run", "--variance", "7"], 2),
        (["run", "--weights", "weights.txt"], 2),
        (["run", "--weights", "random:x"], 2),
        (["run", "--weights", "/nowhere.h5"], 1),
        (["demo", "--weights", "weights.txt"], 2),
        (["report", "--store", "gs://bucket/store"], 2),
        (["erase", "--store", "/nowhere", "--image-id", "abc", "--dry-run"], 2),
        (["erase", "--from-file", "-"], 2),
        (["estimate", "--images", "0"], 2),
        (["export", "--store", "/nowhere", "--csv", "-"], 1),
        (["completion", "dos"], 2),
    ],
)
def test_the_exit_code_tells_done_from_failed_from_called_wrongly(
    arguments: list[str], code: int, no_credentials: None, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUITS_IMAGES", str(photos))
    assert CliRunner().invoke(main, arguments).exit_code == code


@pytest.mark.parametrize(
    ("name", "value"), [("FRUITS_COMPONENTS", "0"), ("FRUITS_STORE", "gs://bucket/store"), ("FRUITS_CORES", "two")]
)
def test_a_setting_out_of_bounds_is_a_wrong_call_wherever_it_comes_from(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["report"])
    assert done.exit_code == 2
    assert f"({name}) = {value!r}: " in done.stderr


def test_the_help_of_env_has_its_examples_a_line_each() -> None:
    lines = CliRunner().invoke(main, ["env", "--help"]).stdout.splitlines()
    assert "  Examples:" in lines
    assert '    eval "$(fruits env --images photos --store results)"' in lines


def test_colours_are_for_terminals_whose_user_wants_them(no_credentials: None) -> None:
    assert "\x1b[" in CliRunner().invoke(main, ["doctor"], color=True).stdout
    assert "\x1b[" not in CliRunner().invoke(main, ["doctor"], color=True, env={"NO_COLOR": "1"}).stdout
    assert "\x1b[" not in CliRunner().invoke(main, ["doctor"]).stdout


def test_generated_photos_replace_no_photo_and_are_left_as_they_are_where_they_are_there(tmp_path: Path) -> None:
    out = tmp_path / "generated"
    assert CliRunner().invoke(main, ["sample", "--out", str(out), "--photos", "1"]).exit_code == 0
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.jpg")}
    assert CliRunner().invoke(main, ["sample", "--out", str(out), "--photos", "1"]).exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.jpg")} == before
    own = out / "Banana" / "000.jpg"
    own.write_bytes(b"mine")
    refused = CliRunner().invoke(main, ["sample", "--out", str(out), "--photos", "1"])
    assert refused.exit_code == 1
    assert f"{own} is another photo, and is not replaced" in refused.stderr
    assert own.read_bytes() == b"mine"
