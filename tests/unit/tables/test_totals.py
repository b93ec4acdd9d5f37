"""Totals of what holds nothing, and of a time."""

from pathlib import Path

import pyarrow as pa
import pytest

from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import files_by_folder
from spark_steps.tables.schemas import FEATURES_SCHEMA
from spark_steps.tables.totals import Totals


def test_a_table_that_is_not_there_has_no_totals(tmp_path: Path) -> None:
    assert files_by_folder(FolderTable(str(tmp_path / "nowhere"), FEATURES_SCHEMA)) == {}


def test_totals_of_nothing_have_no_mean() -> None:
    assert Totals().mean is None
    assert (Totals() + Totals(rows=2)).mean is None


@pytest.mark.parametrize("milliseconds", [1_795_000_000_123, 10_413_792_000_999, 253_402_300_799_999])
def test_the_newest_time_keeps_its_millisecond_in_any_century(milliseconds: int) -> None:
    times = pa.array([None, -11_644_473_600_000_000, milliseconds * 1000], pa.timestamp("us", tz="UTC"))
    assert Totals.of_rows(pa.table({"modification_time": times})).newest == milliseconds
    assert Totals.of_rows(pa.table({"modification_time": times[:2]})).newest == 0
