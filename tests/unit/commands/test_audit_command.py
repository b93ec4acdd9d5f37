"""The command ``fruits audit`` before any work: what it refuses to write, and where there is nothing to audit."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fruits_assets.commands.cli import main
from spark_steps.store.store import Store
from tests.support.audit.audited_store import features, write


def audit(store: Path | str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["audit", "--store", str(store), *map(str, arguments)])


@pytest.mark.parametrize("option", ["--html", "--card", "--with-photos"])
@pytest.mark.parametrize("place", ["store", "store/Results", "link", "store/../store/new"])
def test_nothing_that_shows_a_photo_or_names_one_is_written_into_the_store(
    tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "store" / "Results").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    done = audit(tmp_path / "store", option, tmp_path / place / "page.html")
    assert done.exit_code == 2
    assert "lies in the store, where an erasure would not find what it shows of a photo" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_contact_sheet_in_a_folder_of_the_store_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    done = audit(tmp_path / "store", "--with-photos", tmp_path / "store")
    assert done.exit_code == 2
    assert f"{tmp_path}/store/contact-sheet.html lies in the store" in done.stderr


@pytest.mark.parametrize("option", ["--html", "--card", "--with-photos"])
@pytest.mark.parametrize("location", ["s3://bucket/page.html", "gs://bucket/page.html", "-", "/dev/stdout"])
def test_a_file_elsewhere_than_on_this_machine_is_refused(tmp_path: Path, option: str, location: str) -> None:
    done = audit(tmp_path / "store", option, location)
    assert done.exit_code == 2
    assert f"{location} is no " in done.stderr


def test_a_file_that_is_there_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    done = audit(tmp_path / "store", "--html", tmp_path / "page.html")
    assert done.exit_code == 1
    assert "page.html is there already. Give another name, or --force to replace it." in done.stderr
    assert (tmp_path / "page.html").read_text() == "mine"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    done = audit(tmp_path / "store", "--html", tmp_path / "a", "--card", tmp_path / "a")
    assert done.exit_code == 2
    assert "Two of the files to write are the same." in done.stderr


@pytest.mark.parametrize("features_are_there", [False, True])
def test_where_no_photo_has_features_the_message_has_the_command_that_makes_them(
    tmp_path: Path, features_are_there: bool
) -> None:
    # Features without a list of photos: the store says of no folder that its photos are there.
    if features_are_there:
        write(Store(str(tmp_path / "store")).mobilenet_features, [features("Fig/1.jpg")])
    done = audit(tmp_path / "store", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Make them: fruits run --images DIR --store {tmp_path}/store" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cosine", "1.5"],
        ["--cosine", "0"],
        ["--neighbours", "0"],
        ["--seed", "-1"],
        ["--test", "1"],
        ["--test", "0.6", "--validation", "0.6"],
        ["--examples", "-1"],
        ["--fail-on", "info"],
    ],
)
def test_a_value_out_of_range_is_a_wrong_call(tmp_path: Path, arguments: list[str]) -> None:
    assert audit(tmp_path / "store", *arguments).exit_code == 2
