"""The benchmarks work and agree; no time is judged."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.cases import CASES, in_turn
from benchmarks.contenders.features.pool import run
from benchmarks.harness.agreement import compare_explained_variance, compare_features, reference_features
from benchmarks.harness.job import Job
from benchmarks.harness.network import full_pixels, list_photos
from benchmarks.harness.photos import link_photos, original_of
from benchmarks.harness.used_stores import UsedStore
from benchmarks.reporting.results import Figure, Results, Run, load_results
from benchmarks.studies.unknown import Photos
from benchmarks.studies.unknown import as_markdown as as_table_of_unknowns
from benchmarks.studies.unknown import measure as measure_unknown
from benchmarks.targets import judge
from fruits_assets.sample_photos import write_sample
from spark_steps.errors import FruitsError
from spark_steps.queries.neighbours import KNOWN_BELOW


def apart(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a function that forks in a process without threads: a child of this one could wait for a lock for ever."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def job_for(images: Path, network: Path, output: Path) -> Job:
    return Job(str(images), str(network), "", "", "", str(output), 0, 2, 0.0, 0.0)


def results_of(*runs: Run) -> Results:
    machine = {"cores": 2, "processor": "a processor", "memory_gb": 8, "system": "Linux", "python": "3.11"}
    return Results(machine, {}, {"photos": "generated", "weights": "random", "mode": "full"}, list(runs))


@pytest.mark.timeout(900)
def test_the_small_mode_measures_ours_and_others_whose_results_agree_and_writes_table_numbers_and_chart(
    tmp_path: Path, network_file: Path
) -> None:
    output = tmp_path / "results"
    chosen = ["features/ours", "features/pool", "limits/sgemm", "pca/ours", "pca/numpy", "identify/ours"]
    chosen += ["everyday/nothing", "everyday/added"]
    command = [sys.executable, "-m", "benchmarks", "--small", "--weights", str(network_file)]
    command += ["--images", str(tmp_path / "none"), "--scratch", str(tmp_path / "scratch"), "--output", str(output)]
    command += [word for name in chosen for word in ("--only", name)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    runs = {run.case: run for run in load_results(output / "results.json").runs}
    assert set(runs) == set(chosen)
    assert runs["features/ours"].facts["greatest_difference"] < 1e-3
    assert runs["pca/ours"].facts["variance_difference"] < 1e-6
    assert runs["features/ours"].workers_bytes > 0
    assert not runs["everyday/nothing"].facts["java"]
    assert set(runs["everyday/nothing"].facts["rows_written"].values()) == {0}
    assert runs["everyday/added"].facts["rows_written"]["mobilenet_features"] == 10
    table = (output / "results.md").read_text()
    assert "| process pool, same network |" in table
    assert "The numbers to reach" not in table
    assert (output / "results.png").read_bytes().startswith(b"\x89PNG")


def test_the_profile_tells_the_processor_time_of_each_kind_of_process(network_file: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.studies.cpu_profile",
        "--photos",
        "160",
        "--weights",
        str(network_file),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    ours, pool = done.stdout.splitlines()[2:4]
    assert all(kind in ours for kind in ("Java ", "Spark's Python workers ", "first process "))
    assert "Java" not in pool
    assert "its other processes " in pool


def test_any_number_of_photos_is_linked_and_each_link_tells_its_original(tmp_path: Path) -> None:
    write_sample(tmp_path / "originals", photos_per_folder=2)

    photos = list_photos(str(link_photos(tmp_path / "originals", 50, tmp_path)))

    assert len(photos) == 50
    assert len({original_of(photo) for photo in photos}) == 16
    assert Path(photos[0]).stat().st_nlink == 5


def test_features_that_differ_from_ours_are_an_error_and_no_row(tmp_path: Path, network_file: Path) -> None:
    write_sample(tmp_path / "originals", photos_per_folder=1)
    images = link_photos(tmp_path / "originals", 8, tmp_path)
    reference = apart(reference_features, str(images), str(network_file), tmp_path, cores=2)
    apart(run, job_for(images, network_file, tmp_path), negative)

    with pytest.raises(FruitsError, match="its time counts for nothing"):
        compare_features("another", str(tmp_path), str(images), reference, same_pixels=True)


def negative(data: bytes) -> NDArray[np.float32]:
    return -full_pixels(data)


def test_a_lost_photo_is_an_error(tmp_path: Path, network_file: Path) -> None:
    write_sample(tmp_path / "originals", photos_per_folder=1)
    images = link_photos(tmp_path / "originals", 8, tmp_path)
    reference = apart(reference_features, str(images), str(network_file), tmp_path, cores=2)
    apart(run, job_for(images / "Lemon", network_file, tmp_path))

    with pytest.raises(FruitsError, match="lost or doubled"):
        compare_features("another", str(tmp_path), str(images), reference, same_pixels=True)


def test_another_explained_variance_is_an_error() -> None:
    with pytest.raises(FruitsError, match="explains other shares"):
        compare_explained_variance("another", [0.5, 0.2], [0.5, 0.2001])


def test_a_target_is_judged_by_medians_of_its_own_size_and_told_with_the_ratios_within_the_rounds() -> None:
    results = results_of(
        *[Run("features/ours", 4000, seconds) for seconds in (9.0, 10.0, 30.0)],
        *[Run("features/notebook", 4000, seconds) for seconds in (72.0, 1.0, 75.0)],
        *[Run(f"features/{name}", 20_000, 10.0) for name in ("ours", "pool")],
    )

    targets = {target.what: target for target in judge(results)}

    notebook = targets["features of 4,000 photos, against the notebook's way"]
    assert (notebook.measured, notebook.met) == ("7.20 (0.10 to 8.00) times as fast", True)
    pool = targets["features of 20,000 photos, against a process pool"]
    assert (pool.measured, pool.met) == ("1.00 times as fast", True)
    assert targets["features of 50,000 photos, against a process pool"].measured is None


def test_a_run_that_starts_java_misses_the_target_of_a_run_where_nothing_is_new() -> None:
    nothing = next(
        target
        for target in judge(results_of(Run("everyday/nothing", 400, 1.0, facts={"java": True})))
        if "nothing is new" in target.what
    )
    assert (nothing.measured, nothing.met) == ("1.0 s, Java was started", False)


def test_a_used_store_is_the_same_before_each_run_whatever_the_one_before_has_done(tmp_path: Path) -> None:
    write_sample(tmp_path / "originals", photos_per_folder=1)
    used = UsedStore(tmp_path / "used")
    used.make(tmp_path / "originals", [3, 3], first_run)
    used.restore(tmp_path / "originals", photos=3, added=2)
    (used.store / "of the run").touch()
    (used.home / "records").write_text("others")

    used.restore(tmp_path / "originals", photos=3, added=2)

    assert len(list_photos(str(used.images))) == 8
    assert [file.name for file in used.store.iterdir()] == ["table"]
    assert (used.home / "records").read_text() == "of the first run"


def first_run(used: UsedStore) -> None:
    for made, content in ((used.store / "table", "rows"), (used.home / "records", "of the first run")):
        made.parent.mkdir()
        made.write_text(content)


def test_contenders_of_one_size_are_measured_one_after_the_other() -> None:
    order = [(case.name, size) for case, size in in_turn((case, size) for case in CASES for size in case.sizes)]
    compared = [(name.split("/")[0], size) for name, size in order]

    assert len(order) == sum(len(case.sizes) for case in CASES)
    assert [key for key, _ in groupby(compared)] == list(dict.fromkeys(compared))
    assert order.index(("features/pool", 4000)) < order.index(("features/ours", 20_000))


def test_runs_go_on_from_those_that_are_saved(tmp_path: Path) -> None:
    results_of(Run("limits/sgemm", 0, 1.0, facts={"images_per_second": 5.0})).save(tmp_path / "results.json")

    loaded = load_results(tmp_path / "results.json")

    assert loaded.figure("limits/sgemm", 0, "images_per_second") == Figure(5.0, 5.0, 5.0)


def test_the_measure_of_unknowns_agrees_with_what_identify_says() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(6, 64)) * 10
    labels = np.repeat([f"label {number}" for number in range(6)], 20)
    features = (np.repeat(centres, 20, axis=0) + random.normal(size=(120, 64))).astype(np.float32)
    photos = Photos(labels, np.tile(np.arange(5), 24), features)
    known, unknown = measure_unknown(photos, {}, random.normal(size=(3, 64)).astype(np.float32) * 100)
    assert np.concatenate(known["as it is"]).max() < KNOWN_BELOW
    assert np.concatenate(unknown["as it is"]).min() > KNOWN_BELOW
    assert len(np.concatenate(unknown["no fruit"])) == 3 * 6 * 3
    assert "| known, called unknown: as it is (360) | 0.0% |" in as_table_of_unknowns(known, unknown)
