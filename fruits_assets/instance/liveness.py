"""Runs whose process was killed: Dagster leaves them unfinished, and they block later runs, so they are ended here."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from fruits_assets.instance.in_flight import unfinished_runs

PROCESS_TAG = "fruits/process"


@contextmanager
def tagged_as_alive(instance: dg.DagsterInstance) -> Iterator[dict[str, str]]:
    """Yields tags for the runs of this process, by which other processes can check whether it is alive.

    This process holds a lock on a file while the block runs. The operating system frees the lock however the process
    ends.

    Args:
        instance: The Dagster instance that keeps the runs.
    """
    name = uuid.uuid4().hex
    file = _lock_file(instance, name)
    with FileLock(file):
        yield {PROCESS_TAG: f"{socket.gethostname()} {name}"}
    file.unlink(missing_ok=True)


def end_runs_of_killed_processes(instance: dg.DagsterInstance) -> list[str]:
    """Marks unfinished runs as failed whose process on this machine no longer exists, and returns their ids.

    Args:
        instance: The Dagster instance that keeps the runs.
    """
    ended = []
    for run in unfinished_runs(instance):
        host, _, name = run.tags.get(PROCESS_TAG, "").partition(" ")
        if name and host == socket.gethostname() and not _is_alive(_lock_file(instance, name)):
            # Read the run again: it may have finished since it was listed. Its process is gone, so its state is final.
            now = instance.get_run_by_id(run.run_id)
            if now is None or now.is_finished:
                continue
            instance.report_run_failed(run, "Its process was killed. Run again: what is missing is made up for.")
            ended.append(run.run_id)
    return ended


def _is_alive(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            pass
    except Timeout:
        return True
    file.unlink(missing_ok=True)
    return False


def _lock_file(instance: dg.DagsterInstance, name: str) -> Path:
    directory = Path(instance.root_directory) / "processes"
    directory.mkdir(exist_ok=True)
    return directory / f"{name}.lock"
