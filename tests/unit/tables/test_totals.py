"""Totals of what holds nothing, and of a time."""

from datetime import UTC, datetime
from pathlib import Path

from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import files_by_folder
from spark_steps.tables.schemas import FEATURES_SCHEMA
from spark_steps.tables.totals import Totals, milliseconds


def test_a_table_that_is_not_there_has_no_totals(tmp_path: Path) -> None:
    assert files_by_folder(FolderTable(str(tmp_path / "nowhere"), FEATURES_SCHEMA)) == {}


def test_totals_of_nothing_have_no_mean() -> None:
    assert Totals().mean is None
    assert (Totals() + Totals(rows=2)).mean is None


def test_a_time_keeps_its_millisecond() -> None:
    for millisecond in (1, 999, 123, 570):
        moment = datetime(2026, 11, 23, 1, 2, 3, millisecond * 1000, UTC)
        assert milliseconds(moment.timestamp()) % 1000 == millisecond
