"""A setting in the file ``.env`` of the working directory holds as one in the environment does, whatever is called."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import main
from fruits_assets.commands.ui import named_or_last
from fruits_assets.definitions import defs
from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.resources import local_resources
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from spark_steps.storage.parallel import files_at_a_time
from spark_steps.storage.s3_address import region

READERS_VARIABLES = ("FRUITS_REGION", "FRUITS_FILES_AT_A_TIME")
# Each ends soon, because there are no such photos and no such store.
COMMANDS = {
    "run": ["--images", "none", "--store", "none"],
    "report": ["--store", "none"],
    "history": ["--store", "none"],
    "identify": ["--store", "none", "photo.jpg"],
    "serve": ["--store", "none"],
    "export": ["--store", "none", "--csv", "fruits.csv"],
    "audit": ["--store", "none"],
    "convert": ["--store", "none"],
    "erase": ["--images", "photos", "--store", "none", "--image-id", "0" * 64, "--dry-run"],
}


@pytest.fixture(autouse=True)
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, in the working directory, with what readers of files take from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for name in READERS_VARIABLES:
        # Set and removed, so that what the test sets is removed after it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("fruits_region=eu-central-1\nFRUITS_FILES_AT_A_TIME=7\n")
    return tmp_path / ".env"


@pytest.mark.parametrize("command", COMMANDS)
def test_what_reads_files_follows_it_in_each_command(command: str) -> None:
    CliRunner().invoke(main, [command, *COMMANDS[command]])
    assert (region(), files_at_a_time()) == ("eu-central-1", 7)


def test_so_it_does_in_dagsters_own_processes() -> None:
    local_resources(read_settings())
    assert (region(), files_at_a_time()) == ("eu-central-1", 7)


def test_the_environment_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_REGION", "eu-south-1")
    CliRunner().invoke(main, ["report", "--store", "none"])
    assert (region(), files_at_a_time()) == ("eu-south-1", 7)


@pytest.mark.parametrize("command", ["run", "report", "doctor", "estimate", "clusters", "ui", "env"])
def test_a_region_outside_the_union_is_refused_wherever_it_stands(command: str, dotenv: Path) -> None:
    dotenv.write_text("FRUITS_REGION=us-east-1\n")
    arguments = {"estimate": ["--images", "10"]}.get(command, [])
    done = CliRunner().invoke(main, [command, *arguments])
    assert done.exit_code != 0
    assert "photos stay in the European Union" in done.output


def test_the_code_location_refuses_it_too(dotenv: Path) -> None:
    dotenv.write_text("FRUITS_REGION=us-east-1\n")
    with pytest.raises(FruitsError, match=r"FRUITS_REGION.*photos stay in the European Union"):
        defs()


def test_the_ui_shows_the_store_and_the_images_that_it_names_and_else_those_of_the_last_run(
    tmp_path: Path, dotenv: Path
) -> None:
    (tmp_path / "last").mkdir()
    ensure_dagster_home(str(tmp_path / "last"))
    assert named_or_last(None, None).store == str(tmp_path / "last")
    dotenv.write_text("FRUITS_STORE=apples\nFRUITS_IMAGES=photos\n")
    shown = named_or_last(None, None)
    assert (shown.images, shown.store) == (str(tmp_path / "photos"), str(tmp_path / "apples"))
    assert named_or_last("others", None).images == str(tmp_path / "others")
