"""The whole graph on the emulator without a permission: what is said, what is left, and a good run afterwards."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import dagster as dg
import pytest
from PIL import Image

from fruits_assets.aws.permissions import Permission, template_permissions, values_of_stack
from fruits_assets.commands.aws.doctor import Check, examine
from fruits_assets.engines import launcher
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store
from tests.emr_emulator import Emulator
from tests.emr_emulator.client import REGION
from tests.support.aws.emr_runs import DATA, OF_STORE, SMALL, clusters, empty_data_bucket, end_clusters
from tests.support.aws.permissions import taken_away
from tests.support.pipeline import run_pipeline

FOLDERS = ("Red apple", "Plum")
PHOTOS = 2
TABLES = ("raw_images", "mobilenet_features", "reduced_features")
_LAUNCHER = f"fruits-launcher-{REGION}"
# Seconds for which a cluster may be ending.
_ENDING = 20.0


@dataclass(frozen=True)
class Outcome:
    """How the whole graph ends.

    Attributes:
        sentence: The message that ``fruits run`` ends with; empty where the run is good.
        said: The lines before it.
        left: Clusters that were created and are not ending.
        created: How many clusters were created.
        rows: Numbers of rows by table.
    """

    sentence: str
    said: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    created: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not self.sentence and DeniedRuns.is_complete(self.rows)


class DeniedRuns:
    """Runs of the whole graph under the launcher role, on a stack that stays.

    Attributes:
        aws: The emulator, whose permissions are enforced.
        settings: The settings of the runs.
        values: What stands for the variables of the template.
    """

    def __init__(self, aws: Emulator, network_file: Path) -> None:
        self.aws = aws
        s3 = aws.client("s3")
        for folder in FOLDERS:
            for number in range(PHOTOS):
                photo = Path(aws.directory) / "photo.png"
                Image.new("RGB", (64, 64), (90 * number, 20, len(folder))).save(photo)
                # Spaces and brackets: names of photos are part of what is denied.
                s3.upload_file(str(photo), DATA, f"Test/{folder}/a {number} (1).png")
        self.settings = read_settings(
            deployment="emr",
            images=f"s3://{DATA}/Test",
            store=f"s3://{DATA}",
            weights=str(network_file),
            **{**SMALL, "log_minutes": 1, "budget_eur": 1000.0, "step_retries": 0},
        )
        with as_key(aws.root_environ):
            self.values = values_of_stack(self.settings.stack, REGION)

    def run(self, *, new: bool = False) -> Outcome:
        """Runs the whole graph as ``fruits run`` does, in a Dagster home of its own.

        Args:
            new: Whether to run it on a store without anything.
        """
        if new:
            empty_data_bucket(self.aws, OF_STORE)
        before = {one["id"] for one in clusters(self.aws)}
        said: list[str] = []
        sentence = ""
        with self._as_launcher(), dg.DagsterInstance.ephemeral() as instance:
            try:
                run_pipeline(self.settings, instance, say=said.append)
            except FruitsError as error:
                sentence = str(error)
        created = [one for one in clusters(self.aws) if one["id"] not in before]
        left = self._left([one["id"] for one in created])
        return Outcome(sentence, said, left, len(created), self.rows())

    def _left(self, created: Sequence[str]) -> list[str]:
        deadline = time.monotonic() + _ENDING
        while True:
            states = {one["id"]: one["state"] for one in clusters(self.aws)}
            left = [one for one in created if not states[one].startswith("TERMINAT")]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.5)

    @staticmethod
    def is_complete(rows: Mapping[str, int]) -> bool:
        """Returns whether a store has every photo in every table, once."""
        return rows == dict.fromkeys(TABLES, len(FOLDERS) * PHOTOS)

    def examine(self) -> list[Check]:
        """Returns what ``fruits doctor`` says under the launcher role."""
        with self._as_launcher():
            return list(examine(self.settings))

    def rows(self) -> dict[str, int]:
        """Returns how many rows each table of the store has."""
        with as_key(self.aws.root_environ):
            tables = Store(self.settings.store).tables
            return {name: len(tables[name].arrow(["folder"])) for name in TABLES}

    @contextmanager
    def without(self, *permissions: Permission) -> Iterator[None]:
        """Takes permissions away, and gives them back and ends all clusters at the end."""
        try:
            with taken_away(self.aws, permissions, self.values):
                yield
        finally:
            end_clusters(self.aws)

    @contextmanager
    def _as_launcher(self) -> Iterator[None]:
        with as_key(self.aws.environ_of_role(f"arn:aws:iam::{self.values['AWS::AccountId']}:role/{_LAUNCHER}")):
            yield


@contextmanager
def as_key(environ: Mapping[str, str]) -> Iterator[None]:
    """Has this process work with the credentials of an environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        if "AWS_SESSION_TOKEN" not in environ:
            patch.delenv("AWS_SESSION_TOKEN", raising=False)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        patch.setattr(launcher, "_SECONDS_TO_RETRY", 1)
        yield


def permission(role: str, title: str) -> Permission:
    """Returns the permission of the template with a title, such as ``s3:PutObject on StagingBucket/steps/*``."""
    (found,) = [one for one in template_permissions() if (one.role, one.title) == (role, title)]
    return found
