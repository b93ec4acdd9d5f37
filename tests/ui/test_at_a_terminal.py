"""The commands in a terminal of their own: what is drawn there, and how Ctrl-C ends them and all their processes."""

import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pexpect
import psutil
import pytest

from fruits_assets.sample_photos import write_sample
from tests.support.project import PROJECT
from tests.support.ways_in import BIN, Place

SECONDS = 300
BAR = r"[1-9]\d* of 320 photos, \d+\.\d\d/s, \d\d:\d\d left"


class Terminal:
    """A terminal, in which a command is run; its processes are known by a variable of their environment."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.typed = " ".join(["fruits", *arguments])
        self.child = pexpect.spawn(
            str(BIN / "fruits"),
            list(arguments),
            cwd=str(PROJECT),
            env={**place.environment, "FRUITS_TEST_MARK": self.mark},
            dimensions=(24, 100),
            timeout=SECONDS,
            encoding="utf-8",
        )

    def interrupt(self) -> None:
        """Presses Ctrl-C, by which a terminal interrupts all processes of its foreground."""
        self.child.sendintr()

    def end(self) -> tuple[int | None, str]:
        """Waits until no process has the terminal any more; returns the exit code and what was written since."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus, (self.child.before or "").replace("\r\n", "\n")

    def processes_left(self) -> list[list[str]]:
        deadline = time.monotonic() + 20
        while (left := list(self._processes())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def _processes(self) -> Iterator[list[str]]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("FRUITS_TEST_MARK") == self.mark:
                    yield process.cmdline()
            except psutil.Error:
                continue

    def is_interrupted(self) -> None:
        """Presses Ctrl-C, and sees that one line comes, code 130, and that nothing is left."""
        self.interrupt()
        code, said = self.end()
        assert said.rpartition("^C")[2] == f"\nInterrupted. Run again: {self.typed}\n"
        assert code == 130
        assert self.processes_left() == []


@pytest.fixture
def place(tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("DAGSTER_HOME", "")
    made = Place(tmp_path, network_file)
    made.use({})
    return made


def test_a_run_is_interrupted_while_it_draws_its_bar_and_the_next_one_does_the_work(place: Place) -> None:
    # So many that the bar is drawn more than once.
    write_sample(place.images, photos_per_folder=40)
    terminal = Terminal(place, "run")
    terminal.child.expect(BAR)
    terminal.is_interrupted()
    with place.instance() as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
    again = Terminal(place, "run", "--components", "5")
    code, said = again.end()
    assert code == 0, said
    before, *_, after = re.split(BAR, said)
    assert "raw_images: 320 photos" in before
    assert "\n  mobilenet_features: 320 photos, folders: 8, 320 of them new or changed" in re.sub(r"\s*\r", "\n", after)
    assert "Traceback" not in said
    assert sum(place.reduced().values()) == 320


@pytest.mark.parametrize("moment", ["Images .*", "photos to features", "features to a PCA model"])
def test_a_run_is_interrupted_at_any_moment(place: Place, moment: str) -> None:
    terminal = Terminal(place, "run")
    terminal.child.expect(moment)
    terminal.is_interrupted()


@pytest.mark.parametrize("moment", ["The UI starts", "The UI is at"])
def test_the_ui_says_where_it_is_and_nothing_else_and_is_interrupted(place: Place, moment: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    terminal = Terminal(place, "ui", "--port", str(port))
    terminal.child.expect(moment)
    time.sleep(2)
    terminal.is_interrupted()


def test_a_port_that_is_in_use_is_one_sentence(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = Terminal(place, "ui", "--port", str(port)).end()
    assert code == 1
    assert said.splitlines()[-1] == (
        f"Error: Port {port} is in use, by another UI perhaps. Give another one: --port {port + 1}."
    )


def test_what_is_wrong_with_the_weights_is_one_sentence_while_java_starts(place: Place) -> None:
    code, said = Terminal(place, "run", "--weights", os.devnull).end()
    *_, last = said.splitlines()
    assert (code, last) == (
        2,
        "Error: Weights '/dev/null' are none of: imagenet, random:<seed>, or a file ending in .h5, .keras, .tflite, "
        ".onnx.",
    )
    first_words = [line.partition(" ")[0] for line in said.splitlines() if line]
    assert first_words == ["Images", "Store", "Usage:", "Try", "Error:"]
