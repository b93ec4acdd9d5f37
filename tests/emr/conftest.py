"""The emulator, for the tests that need no other one."""

from collections.abc import Iterator

import pytest

from tests.emr_emulator.client import Emulator

# 5 minutes without a step, or of a cluster's greatest age, pass in 6 seconds.
CLOCK_SPEED = 50.0


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests."""
    started = Emulator.start(
        tmp_path_factory.mktemp("emr"), startup_seconds=0.5, clock_speed=CLOCK_SPEED, log_seconds=50
    )
    yield started
    started.stop()
