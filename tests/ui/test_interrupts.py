"""Ctrl-C, in processes of their own: one line, nothing after it, exit code 130, and no part of a file."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support.project import PROJECT

BEGINNING = """
import os, signal, sys, threading, time
from fruits_assets.terminal.interrupts import INTERRUPTS
INTERRUPTS.watch("fruits run --images 'my photos'")
INTERRUPTS.give_time(1)
def interrupt(number=signal.SIGINT):
    os.kill(os.getpid(), number)
"""
ENDING = """
except KeyboardInterrupt:
    print("Put in order.", file=sys.stderr)
os._exit(INTERRUPTS.exit_code(0))
"""
LINE = "Interrupted. Run again: fruits run --images 'my photos'\n"


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGINNING + program]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)


WAITS = f"try:\n    interrupt(); time.sleep(30){ENDING}"
LOST = f"""
class Lost:
    def __del__(self):
        interrupt(); time.sleep(0.1)
try:
    Lost(); time.sleep(30){ENDING}"""
GOES_ON = """
while True:
    try:
        interrupt(); time.sleep(30)
    except KeyboardInterrupt:
        print("Interrupted? I go on.", file=sys.stderr)"""
HANDLER_OF_A_LIBRARY = "signal.signal(signal.SIGINT, lambda *_: None)\ninterrupt(); time.sleep(30)"


@pytest.mark.parametrize("program", [WAITS, LOST, GOES_ON, HANDLER_OF_A_LIBRARY])
def test_an_interrupt_is_one_line_and_code_130_wherever_it_comes(program: str) -> None:
    started = time.monotonic()
    done = run(program)
    assert (done.stdout, done.stderr) == ("", LINE)
    assert done.returncode == 130
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_termination_and_the_end_of_the_terminal_are_the_same_with_the_code_of_shells_for_it(number: str) -> None:
    done = run(f"try:\n    interrupt(signal.{number}); time.sleep(30){ENDING}")
    assert (done.stdout, done.stderr, done.returncode) == ("", LINE, 143)


def test_what_ends_by_signals_itself_is_ended_by_a_termination_as_any_program_is() -> None:
    done = run("INTERRUPTS.hand_over()\ninterrupt(signal.SIGTERM); time.sleep(30)")
    assert (done.stderr, done.returncode) == ("", -15)


def test_without_an_interrupt_all_is_as_it_was() -> None:
    done = run("print('done')\nsys.stdout.flush()\nos._exit(INTERRUPTS.exit_code(3))")
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 3)


def test_while_a_cluster_is_ended_its_words_are_heard_and_only_a_second_interrupt_ends_the_process() -> None:
    waits = (
        "INTERRUPTS.let_the_cluster_be_ended()\ntry:\n    interrupt()\n    time.sleep(30)\nexcept KeyboardInterrupt:\n"
    )
    done = run(f"{waits}    time.sleep(2)\n    print('ended', file=sys.stderr)\nos._exit(INTERRUPTS.exit_code(0))")
    told = LINE.replace("Interrupted.", "Interrupted. What runs on the cluster is being ended.")
    assert (done.stderr, done.returncode) == (f"{told}ended\n", 130)
    done = run(f"{waits}    time.sleep(1)\n    interrupt()\n    time.sleep(30)\n    print('ended', file=sys.stderr)")
    assert (done.stderr, done.returncode) == (told, 130)


def test_the_error_of_the_interrupted_run_itself_is_not_told() -> None:
    program = """
import click
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError
INTERRUPTS.let_the_cluster_be_ended()
@click.command()
@reports_problems
def command():
    try:
        interrupt(); time.sleep(30)
    except KeyboardInterrupt:
        raise FruitsError("The run failed.")
command([])
"""
    done = run(program)
    assert (done.stderr.count("\n"), done.returncode) == (1, 130)


WRITES = """
import resource, signal, sys
from spark_steps.storage import locations
# By default the signal for a file that has grown too large ends a process at once; Python ignores it.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
locations.write_bytes(sys.argv[1], b"x" * 10_000)
"""


def test_what_an_interrupted_write_leaves_has_a_name_that_spark_passes_over(tmp_path: Path) -> None:
    target = f"{tmp_path}/data/part-00000.parquet"
    killed = subprocess.run([sys.executable, "-c", WRITES, target], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGXFSZ
    (left,) = (tmp_path / "data").iterdir()
    assert left.name.startswith(".part-00000.parquet.")


# Bytes that a file may have in a process that is not to finish: less than those of a photo.
LONGEST_FILE = 1000


def test_a_sample_that_could_not_be_finished_has_no_part_of_a_photo_and_is_finished_by_the_next_call(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "fruits_assets", "sample", "--out", str(tmp_path), "--photos", "2"]
    disturbed = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LONGEST_FILE, LONGEST_FILE)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert disturbed.returncode == 1
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.stdout == f"16 photos in {tmp_path}\n", finished.stderr
    for file in tmp_path.rglob("*.jpg"):
        with Image.open(file) as photo:
            photo.load()
