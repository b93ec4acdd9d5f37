"""Runs whose process was killed: they are ended, because nobody else would, and they stand in the way of what comes."""

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
    """Gives the tags of the runs of this process, by which others tell whether it lives.

    It holds a lock on a file, which the operating system frees however the process ends.

    Args:
        instance: The Dagster instance that keeps the runs.
    """
    name = uuid.uuid4().hex
    file = _lock_file(instance, name)
    with FileLock(file):
        yield {PROCESS_TAG: f"{socket.gethostname()} {name}"}
    file.unlink(missing_ok=True)


def end_runs_of_killed_processes(instance: dg.DagsterInstance) -> list[str]:
    """Marks the runs as failed whose process, on this machine, has ended without a word, and returns their ids.

    Args:
        instance: The Dagster instance that keeps the runs.
    """
    ended = []
    for run in unfinished_runs(instance):
        host, _, name = run.tags.get(PROCESS_TAG, "").partition(" ")
        if name and host == socket.gethostname() and not _is_alive(_lock_file(instance, name)):
            # It may have ended well since it was listed; now that its process is gone it ends no more.
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
