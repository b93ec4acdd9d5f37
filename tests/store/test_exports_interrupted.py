"""Ctrl-C and SIGTERM in the middle of an export."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.studies.exports.stores import make_store
from spark_steps.store.store import Store

# Their export takes a second or so.
PHOTOS = 10_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(PHOTOS, tmp_path_factory.mktemp("store"))


def bytes_below(directory: Path) -> int:
    # A file may be renamed meanwhile.
    with suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in directory.rglob("*"))
    return 0


def export_and_send(
    store: Store, out: Path, kind: str, sent: signal.Signals, *options: str
) -> subprocess.CompletedProcess[str]:
    """Exports, and sends a signal in the middle: when a first megabyte is written."""
    command = [sys.executable, "-m", "fruits_assets", "export", "--store", store.root, "--features", "full", "--split"]
    before = bytes_below(out)
    process = subprocess.Popen(
        [*command, f"--{kind}", str(out / "fruits"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and bytes_below(out) < before + (1 << 20):
        time.sleep(0.01)
    process.send_signal(sent)
    told, problem = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, told, problem)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "tfrecord", "huggingface"])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_export_that_is_interrupted_leaves_nothing(
    kind: str, sent: signal.Signals, code: int, store: Store, tmp_path: Path
) -> None:
    done = export_and_send(store, tmp_path, kind, sent)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("Interrupted. Run again: fruits export --store")
    assert list(tmp_path.iterdir()) == []


def a_file(target: Path) -> None:
    target.write_text("the export of yesterday")


def a_folder(target: Path) -> None:
    (target / "train").mkdir(parents=True)
    (target / "dataset_dict.json").write_text("the export of yesterday")


@pytest.mark.parametrize(("kind", "is_there"), [("npz", a_file), ("tfrecord", a_file), ("huggingface", a_folder)])
def test_an_export_that_was_to_be_replaced_is_as_it_was_after_a_termination(
    kind: str, is_there: Callable[[Path], None], store: Store, tmp_path: Path
) -> None:
    is_there(tmp_path / "fruits")
    before = sorted((file, file.is_file() and file.read_text()) for file in tmp_path.rglob("*"))
    assert export_and_send(store, tmp_path, kind, signal.SIGTERM, "--force").returncode == 143
    assert sorted((file, file.is_file() and file.read_text()) for file in tmp_path.rglob("*")) == before


def test_an_export_to_a_pipe_that_is_terminated_leaves_no_temporary_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "fruits").symlink_to("/dev/stdout")
    assert export_and_send(store, tmp_path, "csv", signal.SIGTERM).returncode == 143
    assert [file.name for file in tmp_path.iterdir()] == ["fruits"]
