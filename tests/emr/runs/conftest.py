"""The emulator with the stack, and settings for steps that run there."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fruits_assets.settings import Settings, read_settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import (
    DATA,
    SMALL,
    clusters,
    upload,
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    started = Emulator.start(tmp_path_factory.mktemp("emulator"), stack=True, log_seconds=3)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def no_cluster_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        aws: Emulator = request.getfixturevalue("aws")
        aws.enforce_iam(False)
        alive = [cluster["id"] for cluster in clusters(aws) if not cluster["state"].startswith("TERMINATED")]
        if alive:
            aws.client("emr").terminate_job_flows(JobFlowIds=alive)


@pytest.fixture
def emr(aws: Emulator, photos: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for generated photos in the data bucket, a new store there, and this process's way to the emulator."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    mark = uuid.uuid4().hex[:8]
    upload(aws, photos, f"Test/{mark}")
    return read_settings(
        deployment="emr",
        images=f"s3://{DATA}/Test/{mark}",
        store=f"s3://{DATA}/stores/{mark}",
        weights=str(network_file),
        **SMALL,
    )
