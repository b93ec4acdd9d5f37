"""The benchmarks that run the command of several checkouts: what they count, and that they work; no time is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks.harness.photos import link_folders
from benchmarks.studies import cold
from benchmarks.studies.checkouts import Checkout, this_checkout
from benchmarks.studies.latency_proxy import Request
from benchmarks.studies.s3_requests import method_of, place_of
from benchmarks.studies.store_files import Written, table_files, written_since
from fruits_assets.sample_photos import write_sample
from spark_steps.errors import FruitsError


def request(method: str, target: str, body: bytes = b"") -> Request:
    return Request(method, target, {}, b"head\r\n\r\n" + body)


def measured(module: str, output: Path, *options: str | Path) -> Any:
    command = [sys.executable, "-m", f"benchmarks.studies.{module}", *map(str, options), "--json", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"| {this_checkout().name} |" in done.stdout
    return json.loads(output.read_text())


@pytest.mark.parametrize(
    ("method", "target", "counted"),
    [
        ("GET", "/bucket/Test/Apple/1.jpg", "GET"),
        ("GET", "/bucket?list-type=2&prefix=Test/", "LIST"),
        ("GET", "/bucket/?prefix=", "LIST"),
        ("GET", "/bucket?versions", "LIST"),
        ("GET", "/bucket?location", "GET"),
        ("HEAD", "/bucket", "HEAD"),
        ("POST", "/bucket?delete", "POST"),
    ],
)
def test_a_listing_is_counted_apart_from_a_get(method: str, target: str, counted: str) -> None:
    assert method_of(request(method, target)) == counted


@pytest.mark.parametrize(
    ("method", "target", "touched"),
    [
        ("GET", "/bucket/Test/Apple%20Red/1.jpg", "photos"),
        ("GET", "/bucket?list-type=2&prefix=Test%2F", "photos"),
        ("HEAD", "/bucket/Test", "photos"),
        ("GET", "/bucket/Test/raw_images/1.jpg", "photos"),
        ("PUT", "/bucket/Results/raw_images/_delta_log/00000000000000000000.json", "raw_images"),
        ("GET", "/bucket?list-type=2&prefix=PCA_Results%2Freduced_features", "reduced_features"),
        ("PUT", "/bucket/PCA_Results/pca_model/current.json", "other"),
        ("GET", "/bucket?location", "other"),
    ],
)
def test_a_request_is_counted_with_what_it_touches(method: str, target: str, touched: str) -> None:
    assert place_of(request(method, target)) == touched


def test_a_deletion_of_many_is_counted_with_the_table_whose_files_go() -> None:
    body = b"<Delete><Object><Key>Results/mobilenet_features/folder=A/1.parquet</Key></Object></Delete>"
    assert place_of(request("POST", "/bucket?delete", body)) == "mobilenet_features"


def test_what_is_written_to_a_table_is_told_without_what_was_there_and_rows_without_those_of_its_log(
    tmp_path: Path,
) -> None:
    table = tmp_path / "Results" / "raw_images"
    write_rows(table / "folder=A" / "old.parquet", 5)
    write_rows(table / "folder=A" / "replaced.parquet", 5)
    before = table_files(tmp_path, "raw_images")
    new = [
        write_rows(table / "folder=A" / "replaced.parquet", 3),
        write_rows(table / "folder=B" / "new.parquet", 4),
        write_rows(table / "_delta_log" / "checkpoint.parquet", 100),
    ]
    write_rows(tmp_path / "Results" / "mobilenet_features" / "another table.parquet", 1)

    written = written_since(tmp_path, "raw_images", before)

    assert written == Written(files=3, bytes=sum(file.stat().st_size for file in new), rows=7)


def write_rows(file: Path, rows: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"length": range(rows)}), file)
    return file


def test_links_that_are_added_to_a_folder_go_on_from_those_that_are_there(tmp_path: Path) -> None:
    write_sample(tmp_path / "originals", photos_per_folder=1)

    link_folders(tmp_path / "originals", tmp_path / "photos", [3])
    link_folders(tmp_path / "originals", tmp_path / "photos", [2], first=3)

    names = sorted(file.name for file in (tmp_path / "photos" / "Fruit 00000").iterdir())
    assert names == [f"{number:06d}.jpg" for number in range(5)]


def test_a_checkout_without_an_environment_is_refused_with_the_remedy(tmp_path: Path) -> None:
    refused = CliRunner().invoke(cold.main, ["--source", str(tmp_path), "--checkout", str(tmp_path)])

    assert refused.exit_code == 2
    assert "run make setup in it" in " ".join(refused.output.split())


def test_a_checkout_is_not_given_settings_and_credentials_of_whoever_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FRUITS_CORES", "AWS_PROFILE", "DAGSTER_HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, "of whoever measures")

    environment = this_checkout().environment(tmp_path, {"AWS_REGION": "eu-west-3"})

    own = {"DAGSTER_HOME": str(tmp_path), "AWS_REGION": "eu-west-3"}
    assert {name: environment[name] for name in own} == own
    assert environment["PATH"] == os.environ["PATH"]
    assert "of whoever measures" not in environment.values()


def test_a_command_that_fails_is_told_with_the_checkout_and_what_it_said(tmp_path: Path) -> None:
    checkout = Checkout("another", this_checkout().fruits)
    with pytest.raises(FruitsError, match=r"fruits report .* of another ended with code 1:\n.*There is no store"):
        checkout.run(["report", "--store", str(tmp_path / "none")], tmp_path / "home")


@pytest.mark.timeout(900)
def test_requests_of_a_run_are_counted_and_each_photo_is_read_once(tmp_path: Path, network_file: Path) -> None:
    sizes = ("--folders", "2", "--photos", "2", "--added", "1")

    outcomes = measured("s3_requests", tmp_path / "json", *sizes, "--weights", network_file)["outcomes"]

    assert [one["run"] for one in outcomes] == ["the first", "nothing has changed", "1 photos added"]
    assert [one["requests"]["photos"].get("GET", 0) for one in outcomes] == [4, 0, 1]
    assert all(one["requests"]["mobilenet_features"]["LIST"] > 0 for one in outcomes)
