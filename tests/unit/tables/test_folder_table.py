"""A table of folders: whole, or as it was before."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from spark_steps.errors import FruitsError
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import vacuum
from tests.support.tables import lengths_by_path

SCHEMA = pa.schema([("path", pa.string()), ("length", pa.int64())])


@pytest.fixture
def table(tmp_path: Path) -> FolderTable:
    return FolderTable(str(tmp_path / "odd [root] of * täbles"), SCHEMA)


def driver_rows(**folders: dict[str, int]) -> DriverRows:
    return DriverRows(
        {
            folder: [pa.table({"path": list(rows), "length": list(rows.values())}, SCHEMA)]
            for folder, rows in folders.items()
        }
    )


def test_a_table_of_an_earlier_release_is_told_and_not_taken_for_an_empty_one(table: FolderTable) -> None:
    Path(table.root, "folder=A").mkdir(parents=True)
    with pytest.raises(FruitsError, match="is a table of an earlier release"):
        table.files()


def test_a_write_that_is_refused_before_its_commit_leaves_the_old_rows_and_nothing_else(table: FolderTable) -> None:
    table.write(table.replacement(driver_rows(A={"a": 1}), ["A"]))
    before = table.listing()

    def refuse() -> None:
        assert len(table.listing()) == 2
        raise FruitsError("Photos were erased.")

    with pytest.raises(FruitsError, match=r"^Photos were erased\.$"):
        table.write(table.replacement(driver_rows(A={"a": 2}), ["A"]), check=refuse)
    assert lengths_by_path(table) == {"a": 1}
    assert table.listing() == before


def test_a_look_whose_files_are_vacuumed_meanwhile_is_begun_again(table: FolderTable) -> None:
    table.write(table.replacement(driver_rows(A={"a": 1}), ["A"]))
    looks = []

    def look() -> list[int]:
        files = table.files()
        looks.append(files)
        if len(looks) == 1:
            table.write(table.replacement(driver_rows(A={"a": 2}), ["A"]))
            assert len(vacuum(table, timedelta(0))) == 1
        with table.reading(files[0]) as opened:
            return list(opened.read()["length"].to_pylist())

    assert table.while_unchanged(look) == [2]
    assert len(looks) == 2
