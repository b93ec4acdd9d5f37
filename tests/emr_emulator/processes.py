"""The operating system's processes that belong to emulated clusters, found by marks in their environment (Linux).

Spark starts executors from its workers, Python workers from executors, and bootstrap scripts leave timers behind:
process groups lose sight of them, while a mark in the environment is inherited by all.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

EMULATOR, CLUSTER, NODE, STEP = "EMR_EMULATOR", "EMR_EMULATOR_CLUSTER", "EMR_EMULATOR_NODE", "EMR_EMULATOR_STEP"

# A process of its own: it outlives an emulator that was killed, for as long as it takes to end what that one started.
_REAPER = """
import sys
from tests.emr_emulator.processes import EMULATOR, kill
for signal_number in (2, 15):
    import signal; signal.signal(signal_number, signal.SIG_IGN)
sys.stdin.read()
for _ in range(3):
    kill({EMULATOR: sys.argv[1]})
"""


def start(
    command: list[str], environment: Mapping[str, str], directory: Path, stdout: Path, stderr: Path
) -> "subprocess.Popen[bytes]":
    """Starts a command as the leader of a process group of its own, with exactly this environment."""
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def living(marks: Mapping[str, str]) -> dict[int, str]:
    """Returns the command lines of the living processes whose environment has all these marks, by process id."""
    return {process_id: command for process_id, command, _ in _found(marks)}


def counts(mark: str, marks: Mapping[str, str]) -> Counter[str]:
    """Returns how many living processes have each value of a mark, of those that have all the other marks."""
    return Counter(
        environment[mark.encode()].decode() for *_, environment in _found(marks) if mark.encode() in environment
    )


def _found(marks: Mapping[str, str]) -> Iterator[tuple[int, str, dict[bytes, bytes]]]:
    """Yields process id, command line and environment of the living processes with these marks."""
    wanted = {name.encode(): value.encode() for name, value in marks.items()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            pairs = [one.partition(b"=") for one in (entry / "environ").read_bytes().split(b"\0")]
            environment = {name: value for name, _, value in pairs}
            if wanted.items() <= environment.items():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if command:  # A zombie has none.
                    yield int(entry.name), command, environment
        except OSError:
            continue


def kill(marks: Mapping[str, str], containing: str = "", signal_number: int = signal.SIGKILL) -> list[int]:
    """Sends a signal to the processes with these marks, until none is left when the signal is SIGKILL.

    Args:
        marks: Names and values that their environment must have.
        containing: Text that their command line must have.
        signal_number: The signal.
    """
    if not marks:
        raise ValueError("without marks this would end every process")
    killed: list[int] = []
    for _ in range(10):
        found = [one for one, command in living(marks).items() if containing in command]
        killed += kill_these(found, signal_number)
        # Once more: a process may have started another while it was being killed.
        if not found or signal_number != signal.SIGKILL or containing:
            break
        time.sleep(0.05)
    return killed


def kill_these(process_ids: list[int], signal_number: int) -> list[int]:
    """Sends a signal to processes; returns those that were still there."""
    reached = []
    for process_id in process_ids:
        try:
            os.kill(process_id, signal_number)
            reached.append(process_id)
        except ProcessLookupError:
            continue
    return reached


def start_reaper(emulator: str, project: Path) -> "subprocess.Popen[bytes]":
    """Starts the process that ends the emulator's processes when the emulator is gone, however it went."""
    return subprocess.Popen(
        [sys.executable, "-c", _REAPER, emulator], stdin=subprocess.PIPE, start_new_session=True, cwd=project
    )
