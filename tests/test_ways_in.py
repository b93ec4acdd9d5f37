"""The ways in that are not Python: dagster's and dg's command lines, the UI's backfill, and our own command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from fruits_assets.cli import main
from fruits_assets.partitions import IMAGE_FOLDERS
from fruits_assets.sample import write_sample
from spark_steps.store import Store
from spark_steps.tables import rows_by_folder
from tests.conftest import save_photo

PROJECT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 600


class Place:
    """Photos, a store and a Dagster home of their own, and commands run on them."""

    def __init__(self, root: Path, network_file: Path) -> None:
        self.images, self.store, self.home = root / "photos", Store(str(root / "store")), root / "home"
        write_sample(self.images, photos_per_folder=3)
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "FRUITS_IMAGES": str(self.images),
            "FRUITS_STORE": self.store.root,
            "FRUITS_WEIGHTS": str(network_file),
        }

    def run(self, *command: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
        return done

    def reduced(self) -> dict[str, int]:
        return dict(rows_by_folder(self.store.reduced_features.files()))

    def instance(self) -> dg.DagsterInstance:
        os.environ["DAGSTER_HOME"] = str(self.home)
        return dg.DagsterInstance.get()


@pytest.fixture
def place(tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("DAGSTER_HOME", "")
    made = Place(tmp_path, network_file)
    made.home.mkdir()
    (made.home / "dagster.yaml").write_text((PROJECT / "fruits_assets" / "dagster.yaml").read_text())
    return made


def test_dagsters_and_dgs_command_lines_take_a_partition_and_a_range(place: Place) -> None:
    module = ("-m", "fruits_assets.definitions")
    place.run("dagster", "job", "execute", *module, "-j", "sync_image_folders")
    with place.instance() as instance:
        assert len(instance.get_dynamic_partitions(IMAGE_FOLDERS)) == 8
    place.run("dagster", "asset", "materialize", *module, "--select", "*", "--partition-range", "Banana...Lemon")
    assert place.reduced() == {"Banana": 3, "Blueberry": 3, "Lemon": 3}
    place.run("dg", "launch", "--assets", "raw_images,mobilenet_features", "--partition", "Plum")
    assert "Plum" in place.store.mobilenet_features.folders()
    place.run("dg", "launch", "--job", "reduce_folders", "--partition-range", "Banana...Banana")
    listed = json.loads(place.run("dg", "list", "defs", "--json").stdout)
    assert "raw_images" in json.dumps(listed)


def test_the_command_runs_reports_and_leaves_its_runs_for_the_ui(place: Place) -> None:
    (place.images / "Plum" / "letter.jpg").write_text("not a photo")
    ran = place.run("fruits", "run", "--components", "5")
    assert "25 photos in 8 folders" in ran.stderr
    assert "kept by 5 components" in ran.stdout
    told = json.loads(place.run("fruits", "report", "--store", place.store.root, "--json").stdout)
    assert (told["folders"], told["photos"], told["reduced"], told["components"]) == (8, 25, 24, 5)
    assert told["rejected"] == {"not an image": 1}
    assert set(told["components_for"]) == {"90%", "95%", "99%"}
    assert set(told["variance_at"]) == {"50", "350"}
    assert len(told["weights"]["sha256"]) == 64
    assert set(told["bytes"]) == {"photos", "features", "reduced"}
    with place.instance() as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        assert len(instance.get_runs()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--images", "/nowhere"), "Error: The images folder /nowhere does not exist. Check the path."),
        (("run", "--images", "pyproject.toml"), "is a file. Give the folder"),
        (("run", "--weights", "/nowhere.h5"), "There is no weights file /nowhere.h5"),
        (("run", "--folders", "Mango*"), "None of the 8 folders below"),
        (("run", "--components", "0"), "FRUITS_COMPONENTS"),
        (("run", "--components", "5", "--variance", "0.5"), "exclude each other"),
        (("report", "--store", "/nowhere"), "There is no store at /nowhere"),
    ],
)
def test_what_cannot_be_done_ends_in_one_sentence_and_a_code_that_is_not_0(
    place: Place, arguments: tuple[str, ...], message: str
) -> None:
    done = CliRunner().invoke(main, arguments, env=place.environment)
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit)
    assert message in done.stderr
    assert not any(place.store.raw_images.folders())


def test_the_sample_is_the_same_each_time(place: Place, tmp_path: Path) -> None:
    for name in ("one", "two"):
        place.run("fruits", "sample", "--out", str(tmp_path / name), "--photos", "2", "--seed", "3")
    one, two = ({f.name + f.parent.name: f.read_bytes() for f in (tmp_path / n).rglob("*.jpg")} for n in ("one", "two"))
    assert len(one) == 16
    assert one == two
    assert len(set(one.values())) == 16


class Ui:
    """Webserver and daemon as ``make ui`` starts them, spoken to as the browser does."""

    def __init__(self, place: Place) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = (place.home / "ui.log").open("w")
        self.process = subprocess.Popen(
            [BIN / "fruits", "ui", "--port", str(self.port)],
            env=place.environment,
            cwd=PROJECT,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def query(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            document = json.loads(answer.read())
        assert not document.get("errors"), document
        return document["data"]

    def wait_for(self, condition: Any) -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except OSError:
                assert self.process.poll() is None, Path(self.log.name).read_text()
            time.sleep(1)
        raise AssertionError("nothing came of it in time: " + Path(self.log.name).read_text()[-3000:])

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def ui(place: Place) -> Iterator[Ui]:
    started = Ui(place)
    yield started
    started.stop()


BACKFILL = """mutation($assets: [AssetKeyInput!]!, $folders: [String!]) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $folders}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  } }"""
BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } runs(limit: 50) { id status assetSelection { path } } } } }"""


def test_a_backfill_of_all_folders_goes_through_the_daemon_in_one_run_per_asset_group(place: Place, ui: Ui) -> None:
    save_photo(place.images / "with, comma & [brackets]" / "1.jpg")
    place.run("dagster", "job", "execute", "-m", "fruits_assets.definitions", "-j", "sync_image_folders")
    with place.instance() as instance:
        folders = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    ui.wait_for(lambda: ui.query("{ version }"))
    names = ["raw_images", "mobilenet_model", "mobilenet_features", "pca_model", "reduced_features"]
    launched = ui.query(BACKFILL, assets=[{"path": [name]} for name in names], folders=folders)
    backfill = launched["launchPartitionBackfill"]["backfillId"]

    def finished() -> Any:
        state = ui.query(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
        return state if state["status"] not in ("REQUESTED",) else None

    state = ui.wait_for(finished)
    assert state["status"] == "COMPLETED_SUCCESS", state
    assert all(run["status"] == "SUCCESS" for run in state["runs"])
    assert len(state["runs"]) <= len(names)
    assert set(place.reduced()) == set(folders)
    assert sum(place.reduced().values()) == 25
