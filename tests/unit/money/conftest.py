"""No prices of the test before."""

from collections.abc import Iterator

import pytest

from tests.support.aws.money import no_prices_remembered


@pytest.fixture(autouse=True)
def fresh_prices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_prices_remembered(monkeypatch):
        yield
