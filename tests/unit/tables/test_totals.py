"""Totals of what holds nothing, and of a time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import files_by_folder
from spark_steps.tables.schemas import FEATURES_SCHEMA
from spark_steps.tables.totals import Totals, sum_of


def test_a_table_that_is_not_there_has_no_totals(tmp_path: Path) -> None:
    assert files_by_folder(FolderTable(str(tmp_path / "nowhere"), FEATURES_SCHEMA)) == {}


def test_totals_of_nothing_have_no_mean() -> None:
    assert Totals().mean is None
    assert (Totals() + Totals(rows=2)).mean is None


def test_features_of_networks_that_give_other_numbers_of_them_have_no_mean() -> None:
    wide, narrow = (Totals(rows=2, vectors=2, sum=np.ones(width)) for width in (5, 3))
    for together in (wide + narrow, wide + narrow + wide, sum_of([narrow, Totals(), wide])):
        assert together.mean is None
        assert together.vectors >= 4
    assert (wide + wide).mean == pytest.approx(np.full(5, 0.5))


@pytest.mark.parametrize("milliseconds", [1_795_000_000_123, 10_413_792_000_999, 253_402_300_799_999])
def test_the_newest_time_keeps_its_millisecond_in_any_century(milliseconds: int) -> None:
    times = pa.array([None, -11_644_473_600_000_000, milliseconds * 1000], pa.timestamp("us", tz="UTC"))
    assert Totals.of_rows(pa.table({"modification_time": times})).newest == milliseconds
    assert Totals.of_rows(pa.table({"modification_time": times[:2]})).newest == 0
