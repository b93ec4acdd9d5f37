"""Settings for steps that run on the emulated EMR, and an emulator without what another test has left."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fruits_assets.engines import launcher
from fruits_assets.settings import Settings, read_settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import DATA, SMALL, end_clusters, upload


@pytest.fixture(autouse=True)
def permissions_are_not_enforced(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        request.getfixturevalue("aws").enforce_iam(False)


@pytest.fixture
def no_other_cluster(aws: Emulator) -> Iterator[None]:
    """No cluster but those of the test; without it, a test may take one that another test has left."""
    end_clusters(aws)
    yield
    end_clusters(aws)


@pytest.fixture
def emr(aws: Emulator, photos: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for generated photos in the data bucket, a new store there, and this process's way to the emulator."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launcher, "_SECONDS_TO_RETRY", 1)
    mark = uuid.uuid4().hex[:8]
    upload(aws, photos, f"Test/{mark}")
    return read_settings(
        deployment="emr",
        images=f"s3://{DATA}/Test/{mark}",
        store=f"s3://{DATA}/stores/{mark}",
        weights=str(network_file),
        **SMALL,
    )
