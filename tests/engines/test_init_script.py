"""The init script of Databricks' nodes, run as it is on a runtime of a few files."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fruits_assets.aws.environment import INIT_SCRIPT
from tests.emr_emulator.spark import interpreter

# In place of the runtime's own: it has the archive from a folder.
BOTO3 = """
import shutil


class client:
    def __init__(self, service, region_name):
        assert (service, region_name) == ("s3", "eu-west-3")

    def download_file(self, bucket, key, target):
        shutil.copy(f"{ARCHIVES}/{bucket}/{key}", target)
"""
ENVIRONMENT = {"FRUITS_ENVIRONMENT": "s3://staging/environment/a.tar.gz", "FRUITS_REGION": "eu-west-3"}


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The packages of a runtime's Python, below ``tmp_path/databricks``."""
    home = tmp_path / "databricks" / "python"
    found = home / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    write(found, "numpy/__init__.py", "numpy/gone.py", "numpy-1.26.4.dist-info/METADATA", "numpy.libs/old.so")
    write(found, "google/protobuf/__init__.py", "google/protobuf/old.py", "google/cloud/storage.py", "dbruntime.py")
    (found / "boto3.py").write_text(f'ARCHIVES = "{tmp_path}"\n{BOTO3}')
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(interpreter())
    (home / "pyvenv.cfg").write_text(f"home = {interpreter().parent}\n")
    return found


def run(tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    script = tmp_path / "init.sh"
    text = INIT_SCRIPT.read_text().replace("/databricks/", f"{tmp_path}/databricks/").replace("in 5 20 0", "in 0.1 0")
    script.write_text(text.replace("$pause -gt 0", '$pause != "0"'))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **ENVIRONMENT}
    return subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True)


def test_a_package_is_replaced_whole_and_what_the_archive_does_not_have_stays(tmp_path: Path, packages: Path) -> None:
    new = tmp_path / "new"
    write(new, "numpy/__init__.py", "numpy/new.py", "numpy-2.4.0.dist-info/METADATA", "numpy.libs/new.so")
    write(new, "google/protobuf/__init__.py", "google/protobuf/new.py", "dagster/__init__.py")
    archive = tmp_path / "staging" / "environment" / "a.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(new, ".")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    files = [file for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    there = {str(file.relative_to(packages)) for file in files if file.name != "METADATA"}
    assert there == {
        *("numpy/__init__.py", "numpy/new.py", "numpy.libs/new.so", "dagster/__init__.py"),
        *("google/protobuf/__init__.py", "google/protobuf/new.py", "google/cloud/storage.py"),
        *("boto3.py", "dbruntime.py"),
    }
    assert [one.name for one in packages.glob("*.dist-info")] == ["numpy-2.4.0.dist-info"]


def test_an_archive_that_is_not_there_fails_the_node_and_says_so(tmp_path: Path, packages: Path) -> None:
    done = run(tmp_path)
    assert done.returncode != 0
    assert "databricks.sh failed to fetch s3://staging/environment/a.tar.gz" in done.stderr
    assert (packages / "numpy" / "gone.py").exists()
