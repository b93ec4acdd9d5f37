"""Where an export may go: files are replaced in one step, pipes and devices are written to, and the rest is refused."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from spark_steps.errors import FruitsError
from spark_steps.queries.exports.files import export_csv
from spark_steps.queries.exports.target import descriptor_of, whole_or_not_at_all
from spark_steps.tables.schemas import REDUCED_SCHEMA
from tests.support.project import PROJECT
from tests.support.reduced_store import FOLDERS, reduced_store
from tests.support.small_store import replace_rows


def write(target: Path, *, force: bool = False) -> None:
    with whole_or_not_at_all(target, force) as file:
        file.write_bytes(b"export")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_gets_the_export_and_stays_a_pipe(tmp_path: Path, force: bool, by_link: bool) -> None:
    pipe = target = tmp_path / "pipe"
    os.mkfifo(pipe)
    if by_link:
        target = tmp_path / "link"
        target.symlink_to(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        write(target, force=force)
        assert read.result() == b"export"
    assert pipe.is_fifo()
    assert target.is_symlink() == by_link
    assert {file.name for file in tmp_path.iterdir()} == {"pipe", target.name}


def test_a_link_stays_and_the_file_it_leads_to_is_replaced_in_one_step_and_only_by_force(tmp_path: Path) -> None:
    file, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    file.parent.mkdir()
    file.write_text("theirs")
    link.symlink_to(file)
    with pytest.raises(FruitsError, match="is there already"):
        write(link)
    before = file.stat().st_ino
    write(link, force=True)
    assert link.is_symlink()
    assert (file.read_bytes(), [one.name for one in file.parent.iterdir()]) == (b"export", ["file"])
    assert file.stat().st_ino != before


def test_a_link_that_leads_nowhere_is_followed_and_one_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write(tmp_path / "link")
    assert (tmp_path / "file").read_bytes() == b"export"
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(FruitsError, match="cannot be written"):
        write(tmp_path / "one", force=True)
    assert (tmp_path / "one").is_symlink()


def test_devices_are_written_to_and_a_full_one_is_reported() -> None:
    write(Path("/dev/null"), force=True)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(FruitsError, match="No space left on device"):
        write(Path("/dev/full"), force=True)
    assert Path("/dev/full").is_char_device()


def test_an_open_file_is_written_to_from_where_it_stands(tmp_path: Path) -> None:
    kept = tmp_path / "log"
    with kept.open("wb") as file:
        file.write(b"before ")
        file.flush()
        write(Path(f"/dev/fd/{file.fileno()}"))
        file.seek(0, os.SEEK_END)
        file.write(b" after")
    assert kept.read_bytes() == b"before export after"
    assert descriptor_of(Path("/dev/stdout")) == descriptor_of(Path("-")) == 1
    assert descriptor_of(kept) is None


def test_what_is_no_place_for_an_export_is_refused_without_advice_to_force(tmp_path: Path) -> None:
    (tmp_path / "link to a folder").symlink_to(tmp_path)
    for target in (tmp_path, tmp_path / "link to a folder"):
        for force in (False, True):
            with pytest.raises(FruitsError, match=r"is a folder\. Give the name of a file") as refused:
                write(target, force=force)
            assert "--force" not in str(refused.value)


def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")

    def fails() -> None:
        with whole_or_not_at_all(tmp_path / "file", force=True) as file:
            file.write_bytes(b"half")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fails()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "theirs")]


def test_labels_that_look_like_numbers_formulas_or_nothing_are_read_as_the_documentation_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ["NA", "null", "None", "nan", "007", "=SUM(1)", "1e5", "True", '"', "a,b", "-", "#", "梨", "l\nm", " x "]
    store = reduced_store(tmp_path / "store")
    rows = store.reduced_features.arrow(REDUCED_SCHEMA.names, [FOLDERS[0]])
    at = rows.schema.get_field_index("label")
    replace_rows(store.reduced_features, FOLDERS[0], rows.set_column(at, rows.schema.field("label"), [labels]))
    monkeypatch.chdir(tmp_path)
    assert export_csv(store, Path("fruits.csv")) == 30
    expected = {name: store.reduced_features.arrow([name])[name].to_pylist() for name in ("label", "folder", "path")}
    _, _, after = (PROJECT / "docs" / "exploring.md").read_text().partition("Read the texts as text:\n\n```python\n")
    snippet, _, after = after.partition("```")
    read: dict[str, pd.DataFrame] = {}
    exec(snippet, read)  # noqa: S102
    by_polars = after.partition("Polars: `")[2].partition("`")[0]
    polars = eval(by_polars, {**read, "pl": pl})  # noqa: S307
    for name, texts in expected.items():
        assert read["photos"][name].tolist() == texts
        assert polars[name].to_list() == texts
