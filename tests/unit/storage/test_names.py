"""Names of locations that look like something else: a home directory, a pattern, an address."""

import pwd
from pathlib import Path

import pytest

from spark_steps.errors import FruitsError
from spark_steps.storage.locations import normalise, with_home


@pytest.mark.parametrize(
    "name",
    ["~1.jpg", "./~1.jpg", "./~root", "./~", "~nobody of this name/1.jpg", "?", "*", "#", "%41", "s3:x", "-x.jpg"],
)
def test_a_name_stays_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normalise(name) == f"{tmp_path}/{name.removeprefix('./')}"


def test_a_tilde_alone_or_before_a_slash_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (normalise("~"), normalise("~/photos")) == (str(tmp_path), f"{tmp_path}/photos")


def test_without_a_home_directory_a_tilde_is_refused_and_makes_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for path in ("~", "~/photos"):
        with pytest.raises(FruitsError, match="no home directory is known here"):
            with_home(path)


def test_a_name_that_is_not_utf_8_is_refused_in_text_that_can_be_printed() -> None:
    with pytest.raises(FruitsError, match=r"The name caf\\xe9 is not UTF-8") as refused:
        normalise("caf\udce9")
    assert str(refused.value).isascii()
