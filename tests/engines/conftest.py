"""Each engine on the emulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fruits_assets.engines import launcher
from fruits_assets.settings import Settings
from tests.emr_emulator import Emulator
from tests.support.aws.engines import ENGINES, Bench, benches


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests; the tasks of its jobs run in their drivers, as no executor is asked for anything."""
    started = Emulator.start(
        tmp_path_factory.mktemp("emulator"), stack=True, log_seconds=3, executors=1, in_driver=True
    )
    yield started
    started.stop()


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
def executors(aws: Emulator) -> Iterator[None]:
    """Executors that are processes of their own, for the tests of what runs there."""
    aws.run_in_driver(False)
    yield
    aws.run_in_driver(True)


@pytest.fixture
def without_spark(aws: Emulator) -> Iterator[None]:
    """Clusters that are there sooner, for tests that run no step of an asset."""
    aws.give_clusters_spark(False)
    yield
    aws.give_clusters_spark(True)


@pytest.fixture
def settings(engine: Bench, photos: Path, network_file: Path) -> Settings:
    """Settings for generated photos in the data bucket, and a new store there."""
    return engine.settings(photos, network_file)
