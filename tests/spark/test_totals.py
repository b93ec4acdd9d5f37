"""Totals in the footers of tables are those of their rows, and comparable with what a listing shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_steps.features.weights import MobileNetModel
from spark_steps.photos.listing import FolderContents, list_image_folders
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.footers import files_by_folder, table_totals
from spark_steps.tables.totals import FOOTER_KEY, read_totals
from tests.support.photos import save_photo
from tests.support.steps import write_features, write_raw_images


@pytest.fixture(scope="module")
def table(spark: SparkSession, network: MobileNetModel, tmp_path_factory: pytest.TempPathFactory) -> FolderTable:
    """mobilenet_features of two folders, one with a file that is no photo."""
    root = tmp_path_factory.mktemp("totals")
    for number in range(3):
        save_photo(root / "photos" / "Apple = red" / f"{number}.jpg", colour=70 * number)
    save_photo(root / "photos" / "Pear" / "1.jpg")
    (root / "photos" / "Pear" / "2.jpg").write_text("not a photo")
    (root / "photos" / "Pear" / "3.jpg").touch()
    store = Store(str(root / "store"))
    write_raw_images(store, root / "photos")
    write_features(spark, store, root / "photos", network)
    return store.mobilenet_features


def test_the_footers_of_a_table_tell_the_totals_of_its_rows(table: FolderTable, network: MobileNetModel) -> None:
    totals = table_totals(table, files_by_folder(table))
    assert {folder: (one.rows, one.vectors) for folder, one in totals.items()} == {
        "Apple = red": (3, 3),
        "Pear": (3, 1),
    }
    columns = table.arrow(["folder", "features", "length", "image_id"]).to_pandas()
    for folder, rows in columns.groupby("folder"):
        together = totals[str(folder)]
        vectors = np.stack(rows["features"].dropna().tolist()).astype(np.float64)
        assert together.mean == pytest.approx(vectors.mean(axis=0), abs=1e-12)
        assert together.length == rows["length"].sum()
        assert together.made_by == {network.fingerprint}
        ids = rows[rows["features"].notna()]["image_id"]
        assert together.photos == sum(int(image_id, 16) for image_id in ids) % 2**256


def test_totals_of_photos_that_have_not_changed_are_what_their_listing_shows(table: FolderTable) -> None:
    images = str(Path(table.root).parents[2] / "photos")
    totals = table_totals(table, files_by_folder(table))
    shown = {folder: FolderContents(one.rows, one.length, one.newest) for folder, one in totals.items()}
    assert shown == list_image_folders(images).contents


def test_a_file_without_totals_in_its_footer_gives_the_same_from_its_rows(table: FolderTable, tmp_path: Path) -> None:
    for files in files_by_folder(table).values():
        for file in files:
            rows = pq.ParquetFile(f"{table.root}/{file.path}").read()
            plain = tmp_path / "plain.parquet"
            pq.write_table(rows.replace_schema_metadata(None), plain)
            assert FOOTER_KEY.encode() in (pq.read_metadata(f"{table.root}/{file.path}").metadata or {})
            with table.reading(file) as opened:
                kept, read = read_totals(opened), read_totals(pq.ParquetFile(plain))
            # The limit of pixels is in no column.
            assert replace(read, sum=None) == replace(kept, sum=None, max_pixels=frozenset())
            assert read.sum == pytest.approx(kept.sum, rel=1e-12)
