"""Where the photos and the store are, when no option says so."""

import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import COMMANDS, main
from fruits_assets.commands.support.locations import lies_within, messages
from fruits_assets.settings import read_settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path


def test_each_place_that_no_option_gave_is_said_with_where_it_comes_from(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(messages(read_settings(), None, None)) == [
        f"Images {here}/sample/photos (the default)",
        f"Store {here}/sample/store (the default)",
    ]
    (here / ".env").write_text("FRUITS_IMAGES=apples\n")
    monkeypatch.setenv("FRUITS_STORE", "numbers")
    assert list(messages(read_settings(), None, None)) == [
        f"Images {here}/apples (FRUITS_IMAGES in .env)",
        f"Store {here}/numbers (FRUITS_STORE)",
    ]
    assert list(messages(read_settings(images="a", store="b"), "a", "b")) == []


def test_without_a_word_on_where_the_photos_are_the_command_says_how_to_name_them(here: Path) -> None:
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: Nothing says where the photos are, and the default {here}/sample/photos does not exist. Give the "
        "folder, --images FOLDER, or try it on generated photos: fruits demo.\n"
    )


def test_a_store_in_the_images_folder_is_said_and_images_in_the_store_are_not(here: Path) -> None:
    (here / "photos").mkdir()
    (here / "link").symlink_to(here / "photos")
    assert lies_within(str(here / "link" / "store"), str(here / "photos"))
    assert lies_within("s3://bucket/Test/store", "s3://bucket/Test")
    assert lies_within("s3://bucket/Test", "s3://bucket/Test")
    assert not lies_within("s3://bucket", "s3://bucket/Test")
    assert not lies_within("s3://bucket/Tests", "s3://bucket/Test")
    assert not lies_within("/photos", "s3://bucket/Test")
    (warning,) = messages(read_settings(images="photos", store="photos/store"), "photos", "photos/store")
    assert warning.startswith(f"  warning: the store {here}/photos/store lies in the images folder")
    assert list(messages(read_settings(images="s3://bucket/Test", store="s3://bucket"), "", "")) == []


def test_a_store_that_cannot_be_made_is_told_before_any_work(here: Path) -> None:
    (here / "photos").mkdir()
    (here / "file").write_text("no folder")
    done = CliRunner().invoke(main, ["run", "--images", "photos", "--store", "file/store"])
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: Not a directory: {here}/file/store. Check the path, and whether you may write there.\n"
    )


def with_a_location() -> Iterator[tuple[str, str]]:
    """Each command with each of its options that takes a location."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        yield from ((name, option) for option in ("--images", "--store", "--weights") if option in options)


# What else they cannot be called without.
ARGUMENTS = {"identify": ["photo.jpg"], "export": ["--csv", "fruits.csv"]}
LOCATIONS = [
    "gs://bucket/net.h5",
    "hdfs://host/net.h5",
    "https://host/net.h5",
    "s3a://bucket/net.h5",
    "abfss://c@a/net.h5",
]


def is_refused_at_once(arguments: list[str]) -> str:
    started = time.monotonic()
    done = CliRunner().invoke(main, arguments)
    assert time.monotonic() - started < 20
    assert done.exit_code == 2, done.output
    return done.stderr


@pytest.mark.parametrize(("command", "option"), [one for one in with_a_location() if one[0] != "estimate"])
def test_a_location_that_is_neither_here_nor_in_s3_is_refused_at_once_with_what_is_possible(
    command: str, option: str, here: Path
) -> None:
    (here / "photos").mkdir()
    photos = ["--images", "photos"] if command == "run" and option != "--images" else []
    for location in LOCATIONS:
        told = is_refused_at_once([command, *photos, option, location, *ARGUMENTS.get(command, [])])
        assert "Give a path, or s3://bucket/prefix; nothing else is read." in told
    assert sorted(path.name for path in here.iterdir()) == ["photos"]


@pytest.mark.parametrize("setting", ["FRUITS_IMAGES", "FRUITS_STORE", "FRUITS_WEIGHTS"])
def test_so_is_a_setting_of_one(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "gs://bucket/there")
    told = is_refused_at_once(["report"])
    assert f"({setting}) = 'gs://bucket/there': gs://bucket/there is neither a folder nor in S3." in told
