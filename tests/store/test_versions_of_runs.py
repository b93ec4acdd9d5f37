"""A store of two runs, as it was after the first."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from fruits_assets.sample_photos import write_sample
from fruits_assets.settings import read_settings
from spark_steps.store.store import Store
from tests.support.pipeline import run_pipeline
from tests.support.versions import figures, fruits, history


@dataclass(frozen=True)
class Twice:
    """A store of two runs, a copy of it after the first, and what the second run found."""

    now: Store
    then: Store
    images: Path


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Twice:
    root = tmp_path_factory.mktemp("versions")
    images, store = root / "photos", root / "store"
    write_sample(images, photos_per_folder=4)
    for folder in list(images.iterdir())[3:]:
        shutil.rmtree(folder)
    first, second, third = sorted(images.iterdir())
    (first / "letter.jpg").write_text("not a photo")
    settings = read_settings(images=str(images), store=str(store), weights=str(network_file), components=3, cores="2")

    def run() -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            run_pipeline(settings, instance, "*", lambda line: None)

    run()
    shutil.copytree(store, root / "then")
    (first / "003.jpg").unlink()
    shutil.copy(second / "002.jpg", second / "new.jpg")
    shutil.rmtree(third)
    run()
    return Twice(Store(str(store)), Store(str(root / "then")), images)


def first_reduced(store: Store) -> str:
    (version,) = {
        one["version"] for one in history(store) if one["table"] == "reduced_features" and one["rows_added"] == 12
    }
    return f"reduced_features@{version}"


def test_the_second_run_adds_and_removes_the_rows_of_photos_that_have_come_and_gone(twice: Twice) -> None:
    then, now = history(twice.then), history(twice.now)
    assert now[len(now) - len(then) :] == then
    told = [(one["table"], one["what"], *figures(one)[:2], bool(one["run_id"])) for one in reversed(now)][len(then) :]
    assert told == [
        *(
            (table, "folders dropped", 0, 4, False)
            for table in ("raw_images", "mobilenet_features", "reduced_features")
        ),
        # One photo is gone, another has come.
        ("raw_images", "written", 1, 1, True),
        ("mobilenet_features", "written", 1, 1, True),
        # By another PCA model.
        ("reduced_features", "written", 8, 8, True),
    ]


def test_the_report_is_that_of_the_store_as_it_was_with_its_pca_model(twice: Twice) -> None:
    then = json.loads(fruits("report", twice.then, "--json").stdout)
    now = json.loads(fruits("report", twice.now, "--json").stdout)
    former = json.loads(fruits("report", twice.now, "--json", "--as-of", first_reduced(twice.now)).stdout)
    assert former.pop("as_of")["versions"]["reduced_features"] < len(history(twice.now))
    assert (then.pop("as_of"), now.pop("as_of")) == (None, None)
    assert {**former, "store": ""} == {**then, "store": ""}
    assert former["pca_model"] != now["pca_model"]
    text = fruits("report", twice.now, "--as-of", first_reduced(twice.now)).stdout.splitlines()
    assert text[1].startswith("As of       2")
    assert [text[0].partition("/")[0], *text[2:]] == [
        line if number else line.partition("/")[0]
        for number, line in enumerate(fruits("report", twice.then).stdout.splitlines())
    ]


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_an_export_is_that_of_the_store_as_it_was(twice: Twice, tmp_path: Path, kind: str) -> None:
    as_of = ("--as-of", first_reduced(twice.now))
    for store, name, more in ((twice.then, "then", ()), (twice.now, "now", as_of)):
        done = fruits("export", store, f"--{kind}", tmp_path / name, *more)
        assert done.exit_code == 0, done.stderr
    if kind == "npz":
        with np.load(tmp_path / "then") as then, np.load(tmp_path / "now") as now:
            assert all((then[name] == now[name]).all() for name in then)
    else:
        assert (tmp_path / "then").read_bytes() == (tmp_path / "now").read_bytes()


def test_a_photo_is_identified_among_the_photos_of_then_with_their_pca_model(twice: Twice) -> None:
    photo = sorted(twice.images.iterdir())[0] / "000.jpg"
    then = json.loads(fruits("identify", twice.then, photo, "--json").stdout)
    former = json.loads(fruits("identify", twice.now, photo, "--json", "--as-of", first_reduced(twice.now)).stdout)
    now = json.loads(fruits("identify", twice.now, photo, "--json").stdout)
    assert former == then
    assert (former["photos_compared_with"], now["photos_compared_with"]) == (12, 8)


def test_folders_that_were_stale_then_are_told_without_a_remedy_for_now(twice: Twice, tmp_path: Path) -> None:
    store = Store(shutil.copytree(twice.now.root, tmp_path / "store").__str__())
    table = store.reduced_features
    table.drop([table.folders()[0]])
    stale = f"reduced_features@{table.snapshot().version}"
    table.drop(table.folders())
    done = fruits("report", store, "--as-of", stale)
    assert "Stale       The reduced features in folder" in done.stdout
    assert "Bring the store up to date" not in done.stdout
    refused = fruits("export", store, "--csv", "-", "--as-of", stale)
    assert refused.exit_code == 1
    assert f"Give another moment; these are listed by: fruits history --store {store.root}" in refused.stderr
