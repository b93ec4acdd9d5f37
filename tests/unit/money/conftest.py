"""No prices of the test before."""

from collections.abc import Iterator

import pytest

from tests.support.aws.money import forget_prices


@pytest.fixture(autouse=True)
def no_prices_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    forget_prices()
    yield
    forget_prices()
