"""Erasures and runs that meet: of one machine, of two, and of processes that were killed or asleep."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from fruits_assets.assets.io_managers import FolderTableIOManager, PcaModelIOManager, PcaUpdate, TableUpdate
from fruits_assets.jobs import erasure_service
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.money.costs import CostModel
from fruits_assets.resources import LocalPySparkResource
from fruits_assets.settings import read_settings
from spark_steps.erasure.carry_out import decide, finished
from spark_steps.erasure.plan import Plan, plan_erasure, read_request
from spark_steps.errors import FruitsError
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaSettings, solve
from spark_steps.pca.moments import Moments
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import TableChange, TableChangedError
from spark_steps.tables.maintenance import MaintenanceLimits
from spark_steps.tables.schemas import to_spark, with_folder
from tests.support.aws.s3_server import S3
from tests.support.small_store import (
    Photo,
    contents_below,
    files_that_say,
    make_photos,
    rows_of,
    write_photos,
    write_rows,
)

MODEL = solve(Moments.of_rows(np.random.default_rng(0).normal(size=(5, 8))), "network", PcaSettings(2), ["Fig"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def photos(tmp_path: Path, store: Store) -> list[Photo]:
    """Six photos in two folders, with their rows."""
    made = make_photos(str(tmp_path / "images"), ["Fig", "Plum"], 3)
    write_photos(made)
    write_rows(store, made, audited=True)
    return made


@pytest.fixture
def erase_first(store: Store, photos: list[Photo], tmp_path: Path, instance: dg.DagsterInstance) -> Callable[[], None]:
    """Erases the first photo."""
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    wanted = ErasureRequest(paths=[photos[0].location])
    return lambda: erase(settings, instance, wanted, lambda _: True, lambda _: None)


def change_of_fig(spark: SparkSession, store: Store) -> TableChange:
    """What a run has planned and has in memory: rows that no table has any more when they are written."""
    table = store.mobilenet_features
    schema = with_folder(table.schema)
    rows = spark.createDataFrame(table.arrow(schema.names, ["Fig"]).to_pylist(), to_spark(schema))
    return table.replacement(rows, ["Fig"])


def an_output(asset: str) -> dg.OutputContext:
    return dg.build_output_context(asset_key=asset, run_id="run", step_key=asset)


def update_of(change: TableChange, looked: frozenset[str]) -> TableUpdate:
    return TableUpdate(["Fig"], lambda: change, time.perf_counter(), looked)


def table_manager(store: Store) -> FolderTableIOManager:
    pyspark = LocalPySparkResource(spark_config={})
    return FolderTableIOManager(store, pyspark, CostModel.of(read_settings()), MaintenanceLimits())


def without(rows: dict[str, pa.Table], photo: Photo) -> dict[str, list[dict[str, object]]]:
    return {name: [row for row in table.to_pylist() if row["path"] != photo.path] for name, table in rows.items()}


def test_a_run_of_another_machine_that_was_asleep_during_an_erasure_brings_nothing_back(
    spark: SparkSession, store: Store, photos: list[Photo], erase_first: Callable[[], None]
) -> None:
    before, change = rows_of(store), change_of_fig(spark, store)

    def sleep_while_erased() -> None:
        for file in Path(store.mobilenet_features.root).glob("*.parquet"):
            os.utime(file, (time.time() - 3600,) * 2)
        erase_first()

    with pytest.raises(TableChangedError, match=r"mobilenet_features was changed by another run meanwhile\. Run again"):
        store.mobilenet_features.write(change, check=sleep_while_erased)
    assert files_that_say(contents_below(store.root), photos[0].needles()) == {}
    assert {name: table.to_pylist() for name, table in rows_of(store).items()} == without(before, photos[0])


def test_a_run_that_looked_before_an_erasure_and_writes_after_it_writes_nothing(
    spark: SparkSession, store: Store, photos: list[Photo], erase_first: Callable[[], None]
) -> None:
    # It plans anew, with the rows that it has in memory, because the erasure has changed the table.
    looked, change = finished(store), change_of_fig(spark, store)
    erase_first()
    change = replace(change, base=store.mobilenet_features.snapshot(), removed=())
    with pytest.raises(dg.Failure, match=r"were erased while this run was under way.*Run again"):
        table_manager(store).handle_output(an_output("mobilenet_features"), update_of(change, looked))
    assert files_that_say(contents_below(store.root), photos[0].needles()) == {}


def test_neither_rows_nor_a_model_are_written_while_photos_are_erased(
    spark: SparkSession, store: Store, photos: list[Photo]
) -> None:
    looked, change, images = finished(store), change_of_fig(spark, store), photos[0].images
    decide(store, plan_erasure(store, read_request([], [photos[0].location], images), images))
    before = contents_below(store.root)
    models = PcaModelIOManager(store)
    with pytest.raises(dg.Failure, match="under way or was interrupted"):
        table_manager(store).handle_output(an_output("mobilenet_features"), update_of(change, looked))
    with pytest.raises(dg.Failure, match="under way or was interrupted"):
        models.handle_output(an_output("pca_model"), PcaUpdate(MODEL, looked))
    assert contents_below(store.root) == before


def test_a_model_that_was_fitted_before_photos_were_erased_does_not_become_the_current_one(
    store: Store, erase_first: Callable[[], None]
) -> None:
    looked = finished(store)
    erase_first()
    models = PcaModelIOManager(store)
    with pytest.raises(dg.Failure, match=r"were erased while this run was under way.*Run again"):
        models.handle_output(an_output("pca_model"), PcaUpdate(MODEL, looked))


def test_two_homes_do_not_erase_photos_of_one_store_at_once(
    store: Store, photos: list[Photo], tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_service, "_PATIENCE_SECONDS", 0)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    refusals: list[str] = []

    def erase_at_once(_: Plan) -> bool:
        with dg.DagsterInstance.ephemeral() as other, pytest.raises(FruitsError) as refused:
            erase(settings, other, ErasureRequest(paths=[photos[1].location]), lambda _: True, lambda _: None)
        refusals.append(str(refused.value))
        return True

    erase(settings, instance, ErasureRequest(paths=[photos[0].location]), erase_at_once, lambda _: None)
    assert refusals == [f"Another process erases photos of {store.root}. Wait until it has ended."]
    assert [table.num_rows for table in rows_of(store).values()] == [5] * 5


def test_whoever_is_asked_for_so_long_that_another_took_over_erases_nothing(
    s3: S3, instance: dg.DagsterInstance
) -> None:
    store, settings = Store(s3.bucket), read_settings(images=f"{s3.bucket}/Test", store=s3.bucket)
    made = make_photos(settings.images, ["Fig"], 2)
    write_photos(made)
    write_rows(store, made, audited=True)

    def sleep(_: Plan) -> bool:
        s3.put("Erasures/unfinished/lock", b'{"owner": "another"}')
        return True

    with pytest.raises(FruitsError, match=r"The lock s3://.*/Erasures/unfinished/lock was lost.*Do it again"):
        erase(settings, instance, ErasureRequest(paths=[made[0].location]), sleep, lambda _: None)
    assert [table.num_rows for table in rows_of(store).values()] == [2] * 5
    assert locations.read_bytes(made[0].location) == made[0].content


KILLED_IN_A_RUN = """
import os, sys, time
import dagster as dg
from tests.support.runs import create_run
from fruits_assets.instance.liveness import tagged_as_alive
from spark_steps.store.store import Store
from spark_steps.storage import locations

home, root = sys.argv[1:]
with dg.DagsterInstance.local_temp(home) as instance, tagged_as_alive(instance) as tags:
    create_run(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    table = Store(root).mobilenet_features
    # Of the folder's two files that with the first photo and the third.
    file = table.files(["Fig"])[0]
    locations.write_bytes(f"{table.root}/part-new.parquet", locations.read_bytes(f"{table.root}/{file.path}"))
    # An hour ago.
    os.utime(f"{table.root}/part-new.parquet", (time.time() - 3600,) * 2)
    os.kill(os.getpid(), 9)
"""


def test_rows_that_a_killed_run_has_written_go_too_and_the_run_stands_in_no_way(
    tmp_path: Path, store: Store, photos: list[Photo]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    died = subprocess.run(
        [sys.executable, "-c", KILLED_IN_A_RUN, str(home), store.root],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == -9, died.stderr
    before = rows_of(store)
    settings = read_settings(images=str(tmp_path / "images"), store=store.root)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        erase(settings, instance, ErasureRequest(paths=[photos[0].location]), lambda _: True, lambda _: None)
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
    assert files_that_say(contents_below(store.root), photos[0].needles()) == {}
    assert {name: table.to_pylist() for name, table in rows_of(store).items()} == without(before, photos[0])


def test_two_runs_that_fitted_the_same_model_at_once_both_save_it(spark: SparkSession, store: Store) -> None:
    manager, looked = PcaModelIOManager(store), finished(store)

    def save(number: int) -> None:
        manager.handle_output(an_output("pca_model"), PcaUpdate(MODEL, looked))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save, range(2)))
    assert model_store.current_version(store.pca_models) == MODEL.version
