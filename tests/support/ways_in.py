"""A place to run the product's own commands in, and the Dagster UI as the browser speaks to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fruits_assets.instance.home import ensure_dagster_home
from fruits_assets.sample_photos import write_sample
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise
from tests.support.project import PROJECT

BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 600
ALL_ASSETS = [
    "raw_images",
    "mobilenet_model",
    "mobilenet_features",
    "pca_model",
    "reduced_features",
    "store_report",
    "photo_splits",
    "photo_audit",
    "audit_report",
]
BACKFILL = """mutation($assets: [AssetKeyInput!]!, $folders: [String!]) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $folders}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  } }"""
BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } runs(limit: 50) { id status assetSelection { path } } } } }"""


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

    def use(self, environment: dict[str, str]) -> None:
        """Sets up a Dagster home as ``fruits env`` does, and more environment variables for the commands."""
        self.environment |= environment
        os.environ["DAGSTER_HOME"] = str(self.home)
        ensure_dagster_home(self.store.root)

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
        return {folder: one.rows for folder, one in summarise(self.store.reduced_features).items()}

    def instance(self) -> dg.DagsterInstance:
        os.environ["DAGSTER_HOME"] = str(self.home)
        return dg.DagsterInstance.get()


class Ui:
    """Webserver and daemon as ``make ui`` starts them, spoken to as the browser does."""

    def __init__(self, place: Place) -> None:
        self.place = place
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

    def backfill(self, assets: Sequence[str], folders: Sequence[str]) -> Any:
        """Materializes assets for folders as the browser's dialog does, and returns how that ended."""
        self.wait_for(lambda: self.query("{ version }"))
        launched = self.query(BACKFILL, assets=[{"path": [name]} for name in assets], folders=folders)
        backfill = launched["launchPartitionBackfill"]["backfillId"]

        def finished() -> Any:
            state = self.query(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
            return state if state["status"] not in ("REQUESTED",) else None

        return self.wait_for(finished)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            # A busy machine is no fault of what was tested.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()
