"""The command ``fruits erase``: what it shows, asks, refuses, and the codes that it ends with."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import main
from spark_steps.erasure.carry_out import carry_out, decide
from spark_steps.erasure.plan import plan_erasure, read_request
from spark_steps.store.store import Store
from tests.support.erasing import all_but_the_lock
from tests.support.small_store import Photo, contents_below, files_that_say


@pytest.fixture
def fruits(
    images: str, store: Store, empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    shutil.copytree(empty_home, tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))

    def run(*words: str, answer: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(main, ["erase", "--images", images, "--store", store.root, *words], input=answer)
        return done.exit_code, done.output

    return run


def test_the_command_shows_what_would_go_and_asks(
    images: str, store: Store, some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    before = all_but_the_lock(store, images)
    code, output = fruits("--path", some[0].location, "--dry-run")
    assert code == 0
    assert "1 photos in 1 files go, and their rows: 1 of raw_images, 1 of mobilenet_features" in output
    assert f"  {some[0].location}" in output
    assert fruits("--path", some[0].location, answer="n\n")[0] == 1
    assert all_but_the_lock(store, images) == before
    assert fruits("--path", some[0].location, answer="y\n")[0] == 0
    assert not Path(some[0].location).exists()
    code, output = fruits("--image-id", some[1].image_id.upper(), "--yes")
    assert (code, "the current one, may have been fitted on some" in output) == (0, True)
    assert "Fit the PCA again" in output
    assert not Path(some[1].location).exists()
    assert fruits("--yes") == (0, "There is nothing to erase.\n")


def test_a_dry_run_does_not_finish_what_was_interrupted(
    images: str, store: Store, some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    erasure = decide(store, plan_erasure(store, read_request([], [some[0].location], images), images))
    next(carry_out(store, erasure, images, lambda _: 0))
    before = contents_below(store.root, images)
    assert fruits("--path", some[0].location, "--dry-run")[0] == 0
    assert contents_below(store.root, images) == before
    code, output = fruits()
    assert (code, "was interrupted, and is finished now" in output) == (0, True)
    assert files_that_say(contents_below(store.root, images), some[0].needles()) == {}


def test_a_refusal_ends_the_command_with_its_sentence(
    some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    code, output = fruits("--path", "/etc/passwd", "--yes")
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith("Error: /etc/passwd does not lie below")
    code, output = fruits("--image-id", "abc", "--yes")
    assert code == 2
    assert "Error: 'abc' is no image id." in output


def test_a_mistyped_path_is_no_success_and_the_others_are_erased(
    some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    mistyped = f"{some[1].location}x"
    for words in (["--dry-run"], ["--yes"]):
        code, output = fruits("--path", some[0].location, "--path", mistyped, *words)
        assert code == 1
        assert f"Nothing is there under {mistyped}\n" in output
        assert f"Error: 1 of the paths have nothing to erase under them, such as {mistyped}: mistyped, or" in output
    assert not Path(some[0].location).exists()
    assert Path(some[1].location).exists()


def test_an_image_id_erased_before_is_a_success_again_and_its_path_cannot_be_told_from_a_mistyped_one(
    some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    assert fruits("--path", some[0].location, "--yes")[0] == 0
    assert fruits("--image-id", some[0].image_id, "--yes")[0] == 0
    assert fruits("--path", some[0].location, "--yes")[0] == 1


def test_the_command_that_was_interrupted_succeeds_when_it_is_given_again(
    images: str, store: Store, some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    erasure = decide(store, plan_erasure(store, read_request([], [some[0].location], images), images))
    for told_of in carry_out(store, erasure, images, lambda _: 0):
        if "files are gone" in told_of:
            break
    assert not Path(some[0].location).exists()
    assert fruits("--path", some[0].location, "--yes")[0] == 0


def test_a_list_comes_from_standard_input_too_and_nobody_is_asked_then(
    some: list[Photo], fruits: Callable[..., tuple[int, str]]
) -> None:
    listed = f"{some[0].location}\n{some[1].image_id}\n"
    code, output = fruits("--from-file", "-", answer=listed)
    assert (code, "nobody can be asked: add --yes" in output) == (2, True)
    code, output = fruits("--from-file", "-", "--dry-run", answer=listed)
    assert (code, "2 photos in 2 files go" in output) == (0, True)
    assert fruits("--from-file", "-", "--yes", answer=listed)[0] == 0
    assert [Path(photo.location).exists() for photo in some[:3]] == [False, False, True]
