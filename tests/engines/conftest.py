"""Each engine on the emulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fruits_assets.engines import launcher
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.engines import ENGINES, Bench, benches


@pytest.fixture(autouse=True)
def launchers_that_look_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has launchers of this process ask more often than AWS would be asked: jobs here take seconds."""
    monkeypatch.setattr(launcher, "_SHORTEST_WAIT", 0.3)
    monkeypatch.setattr(launcher, "_LONGEST_WAIT", 0.5)
    monkeypatch.setattr(launcher, "_SECONDS_TO_RETRY", 1)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An engine, with this process's way to its emulator, and nothing left of other tests."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    bench = benches(aws)[request.param]
    for name, value in bench.environ.items():
        monkeypatch.setenv(name, value)
    bench.clean()
    yield bench
    aws.enforce_iam(False)
    bench.clean()


@pytest.fixture
def settings(engine: Bench, photos: Path, network_file: Path) -> Settings:
    """Settings for generated photos in the data bucket, and a new store there."""
    return engine.settings(photos, network_file)
