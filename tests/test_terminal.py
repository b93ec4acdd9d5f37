"""What a command says when it cannot go on."""

import os
import sqlite3
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fruits_assets.failures import readable
from fruits_assets.terminal import disk_is_full, tells_problems_in_a_sentence


@click.command()
@tells_problems_in_a_sentence
def _fills_a_disk() -> None:
    with Path("/dev/full").open("w") as disk:
        disk.write("x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_is_one_sentence_with_the_remedy() -> None:
    said = CliRunner().invoke(_fills_a_disk)
    assert said.exit_code == 1
    assert "A disk is full" in said.output
    assert "Make room, and run again." in said.output


def test_a_full_disk_is_known_by_the_cause_of_an_error_and_other_errors_are_not_taken_for_it() -> None:
    wrapped = ValueError("a run could not be kept")
    wrapped.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert "database or disk is full" in str(disk_is_full(wrapped))
    assert disk_is_full(sqlite3.OperationalError("no such table: runs")) is None
    assert disk_is_full(FileNotFoundError(2, "no such file")) is None


@pytest.mark.parametrize(
    "message",
    [
        "ConnectionRefusedError: [Errno 111] Connection refused\n",
        "py4j.protocol.Py4JNetworkError: Answer from Java side is empty\n",
    ],
)
def test_a_java_process_that_has_ended_is_told_as_such(message: str) -> None:
    assert readable(message).startswith("Spark's Java process has ended under way; most often the system has killed it")
