"""The processes of the UI, as far as they need no server."""

import sys

import pytest

from fruits_assets.instance.internals import daemon_controller
from fruits_assets.instance.ui_server import daemon


def test_the_daemon_looks_at_backfills_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(daemon_controller(), "DEFAULT_DAEMON_INTERVAL_SECONDS", 30)
    monkeypatch.setattr(sys, "argv", ["dagster-daemon"])
    with pytest.raises(SystemExit):
        daemon(["run", "--help"])
    assert "Run any daemons" in capsys.readouterr().out
    assert daemon_controller().DEFAULT_DAEMON_INTERVAL_SECONDS == 5
