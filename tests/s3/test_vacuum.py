"""A vacuum of a table in S3."""

import os
from datetime import timedelta

import pytest

from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.maintenance import vacuum
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA
from tests.chaos.faulty_s3 import faulty_s3
from tests.support.aws.s3_server import S3
from tests.support.tables import addition, paths, rows


def test_a_table_of_many_files_in_s3_is_vacuumed_by_one_listing_and_one_deletion(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = FolderTable(f"{s3.bucket}/store/raw_images", RAW_IMAGES_SCHEMA)
    for number in range(3):
        table.write(addition(table, f"A/{number}.jpg"))
    table.write(table.replacement(DriverRows({"A": [rows(*paths(table))]}), ["A"]))
    for number in range(1200):
        s3.put(f"store/raw_images/part-under-way-{number}.parquet")
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as counting, monkeypatch.context() as counted:
        counted.setenv("AWS_ENDPOINT_URL", counting.address)
        assert len(vacuum(table, timedelta(0))) == 3
        requests = counting.requests
    listings = [one for one in requests if "list-type=2" in one and "_delta_log" not in one]
    assert len(listings) == 2
    assert len([one for one in requests if one.startswith("POST")]) == 1
    assert len(requests) < 40
    assert len(table.listing()) == 1201
