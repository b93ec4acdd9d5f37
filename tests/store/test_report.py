"""The report of a store, and the check in the UI: what is stale, and which photos are rejected."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession

from fruits_assets.assets.checks import one_pca_model
from fruits_assets.commands.cli import main
from fruits_assets.sample_photos import write_sample
from spark_steps.store.staleness import staleness_of
from spark_steps.store.store import Store
from spark_steps.store.summaries import REJECTED_SHOWN
from tests.support.small_store import replace_rows
from tests.support.steps import write_store

REJECTED = REJECTED_SHOWN + 3


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Store:
    """A store of eight folders of three photos; Lemon has more photos that are none than a summary names, Plum one."""
    root = tmp_path_factory.mktemp("report")
    write_sample(root / "photos", photos_per_folder=3)
    for number in range(REJECTED):
        (root / "photos" / "Lemon" / f"letter {number:02}.jpg").write_text("not a photo")
    (root / "photos" / "Plum" / "two\nlines.jpg").touch()
    store = Store(str(root / "store"))
    write_store(spark, store, root / "photos", network_file)
    return store


@pytest.fixture
def store(made: Store, tmp_path: Path) -> Store:
    """The same store, to be damaged."""
    shutil.copytree(made.root, tmp_path / "store")
    return Store(str(tmp_path / "store"))


def report(store: Store, *arguments: str) -> Result:
    done = CliRunner().invoke(main, ["report", "--store", store.root, *arguments])
    assert done.exit_code == 0, done.stderr
    return done


def as_json(store: Store) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(report(store, "--json").stdout)
    return told


def check(store: Store) -> dg.AssetCheckResult:
    result = one_pca_model(store)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def without_rows(store: Store, table: str, folder: str) -> None:
    store.tables[table].drop([folder])


def of_another_model(store: Store, *folders: str) -> None:
    table = store.reduced_features
    for folder in folders:
        rows = table.arrow(table.schema.names, [folder]).to_pylist()
        old = [{**row, "pca_model": "old"} for row in rows]
        replace_rows(table, folder, pa.Table.from_pylist(old, table.schema))


def test_nothing_is_said_to_be_stale_of_a_store_that_is_up_to_date(made: Store) -> None:
    assert "Stale" not in report(made).stdout
    stale = as_json(made)["stale"]
    assert not any(stale[kind] for kind in ("not_featurised", "of_another_network", "of_another_pca_model"))
    assert (stale["not_reduced"], stale["pca_is_of_other_photos"]) == ([], False)
    result = check(made)
    assert (result.passed, result.description) == (
        True,
        f"All photos with features are reduced by PCA model {staleness_of(made).pca_model}.",
    )


def test_a_copy_of_a_store_whose_files_have_other_times_is_as_up_to_date(made: Store, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "store", copy_function=shutil.copyfile)
    assert staleness_of(Store(str(tmp_path / "store"))).sentences == []


def test_folders_of_another_pca_model_are_told_in_the_report_and_in_the_check(store: Store) -> None:
    of_another_model(store, "Banana", "Lemon")
    version = staleness_of(store).pca_model
    told = "The photos in 2 folders such as 'Banana', 'Lemon' are reduced by another PCA model than the current "
    told += f"{version}."
    lines = report(store).stdout.splitlines()
    assert lines[-2:] == [
        f"Stale       {told}",
        f"            Bring the store up to date: fruits run --images DIR --store {store.root}",
    ]
    assert as_json(store)["stale"]["of_another_pca_model"] == ["Banana", "Lemon"]
    result = check(store)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.description == f"{told} Materialize reduced_features for them."


def test_features_without_reduced_rows_are_told_in_the_report_and_in_the_check(store: Store) -> None:
    without_rows(store, "reduced_features", "Banana")
    told = "The reduced features in folder 'Banana' are missing, or those of other photos."
    assert f"Stale       {told}" in report(store).stdout
    assert check(store).description == f"{told} Materialize reduced_features for them."


def test_features_of_photos_that_the_pca_has_not_seen_are_told_and_warn_of_nothing_in_the_check(store: Store) -> None:
    for table in ("mobilenet_features", "reduced_features", "raw_images"):
        without_rows(store, table, "Banana")
    assert "Stale       The PCA model was fitted on 24 photos, and 21 have features." in report(store).stdout
    assert check(store).passed


def test_photos_listed_without_a_row_of_features_are_told(store: Store) -> None:
    for table in ("mobilenet_features", "reduced_features"):
        without_rows(store, table, "Banana")
    assert "Stale       The features in folder 'Banana' are not those of the photos listed." in report(store).stdout


def test_the_report_names_the_first_rejected_photos_and_how_to_see_the_others(made: Store) -> None:
    lines = report(made).stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Rejected"))
    assert lines[first] == f"Rejected    {REJECTED} not an image, 1 empty"
    shown = [line.strip().rpartition("/")[2] for line in lines[first + 1 : first + 6]]
    assert [one.split(": ")[:2] for one in shown] == [[f"letter {n:02}.jpg", "not an image"] for n in range(5)]
    assert lines[first + 6].strip() == f"and {REJECTED + 1 - 5} more: fruits report --store {made.root} --rejected"


def test_all_rejected_photos_are_listed_one_a_line_whatever_their_names(made: Store) -> None:
    lines = report(made, "--rejected").stdout.splitlines()
    assert len(lines) == REJECTED + 1
    paths, errors = zip(*(line.split("\t") for line in lines), strict=True)
    assert paths[REJECTED].endswith("/Plum/two\\nlines.jpg")
    assert errors[REJECTED].startswith("empty: ")
    assert [path.rpartition("/")[2] for path in paths[:REJECTED]] == [f"letter {n:02}.jpg" for n in range(REJECTED)]


def test_json_has_all_rejected_photos_and_their_counts(made: Store) -> None:
    told = as_json(made)
    assert told["rejected"] == {"not an image": REJECTED, "empty": 1}
    assert len(told["rejected_photos"]) == REJECTED + 1
    assert told["rejected_photos"][-1]["path"].endswith("/Plum/two\nlines.jpg")
    assert told["rejected_photos"][0]["error"].startswith("not an image: ")


def test_nothing_is_listed_where_no_photo_is_rejected(store: Store) -> None:
    for folder in ("Lemon", "Plum"):
        for table in store.tables:
            without_rows(store, table, folder)
    assert report(store, "--rejected").stdout == ""
    assert "Rejected    none\nReduced" in report(store).stdout


def test_one_of_the_ways_to_print_it_is_given(made: Store) -> None:
    done = CliRunner().invoke(main, ["report", "--store", made.root, "--json", "--rejected"])
    assert done.exit_code == 2


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("damage", ["of another model", "not reduced"])
def test_a_mixed_store_is_not_exported(store: Store, tmp_path: Path, kind: str, damage: str) -> None:
    if damage == "not reduced":
        without_rows(store, "reduced_features", "Lemon")
    else:
        of_another_model(store, "Lemon")
    done = CliRunner().invoke(main, ["export", "--store", store.root, f"--{kind}", str(tmp_path / "file")])
    assert done.exit_code == 1
    assert "'Lemon'" in done.stderr
    assert f"Bring the store up to date: fruits run --images DIR --store {store.root}" in done.stderr
    assert not (tmp_path / "file").exists()
