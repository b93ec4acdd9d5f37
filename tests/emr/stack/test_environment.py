"""The clusters' environment: what it holds, packed once, and compared with this machine."""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fruits_assets.aws import standalone_python
from fruits_assets.aws.environment import (
    AGREEING,
    CURRENT,
    LEFT_OUT,
    Environment,
    build_archive,
    check_versions,
    differences,
    find_uv,
    installed_versions,
    packages_of,
    read_environment,
    read_requirements,
    surplus,
    upload_environment,
)
from spark_steps.errors import FruitsError
from tests.support.aws.stack import BUCKET, keys


def test_the_nodes_get_what_a_step_imports_and_neither_tensorflow_nor_spark(requirements: str) -> None:
    packages = packages_of(read_requirements())
    needed = {"dagster-aws", "pillow", "boto3", "pydantic-settings", "threadpoolctl", *AGREEING}
    assert needed <= set(packages)
    assert not set(LEFT_OUT) & set(packages)
    assert packages["dagster"] == installed_versions()["dagster"]


def test_every_requirement_has_a_hash(requirements: str) -> None:
    entries = read_requirements().replace("\\\n", " ").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries)


def test_an_archive_holds_importable_compiled_packages_and_is_the_same_each_time(
    requirements: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    build_archive(requirements, first)
    build_archive(requirements, second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = tar.getnames()
        assert {(entry.uid, entry.mtime) for entry in tar} == {(0, 0)}
        tar.extractall(tmp_path / "packages", filter="data")
    assert not [name for name in names if name.startswith(("bin", ".lock"))]
    compiled = (tmp_path / "packages/iniconfig/__pycache__/__init__.cpython-311.pyc").read_bytes()
    # PEP 552: by the source's hash, and not checked.
    assert compiled[4:8] == b"\1\0\0\0"
    assert b"/opt/fruits/environment/lib/python3.11/site-packages/iniconfig/__init__.py" in compiled
    show = [sys.executable, "-c", "import iniconfig; print(iniconfig.__file__)"]
    # Not by the current folder: an earlier test of this process may have set Python's safe path.
    found = subprocess.check_output(show, env=os.environ | {"PYTHONPATH": str(tmp_path / "packages")}, text=True)
    assert found.startswith(str(tmp_path))


def test_an_archive_with_an_interpreter_runs_where_nothing_of_this_machine_is(
    requirements: str, tmp_path: Path
) -> None:
    if Path(sys.base_prefix) == Path("/usr"):
        pytest.skip("this machine's own Python looks for packages elsewhere than other builds")
    plain, standalone, environment = tmp_path / "plain.tar.gz", tmp_path / "standalone.tar.gz", tmp_path / "environment"
    build_archive(requirements, plain, standalone, Path(sys.base_prefix))
    with tarfile.open(standalone) as tar:
        assert [entry.name for entry in tar if entry.issym() or entry.islnk()] == []
        assert {(entry.uid, entry.mtime) for entry in tar} == {(0, 0)}
        tar.extractall(environment, filter="data")
    program = (
        "import sys, ssl, sqlite3, ctypes, zlib, json, iniconfig, importlib.util as look\n"
        "missing = [name for name in sys.stdlib_module_names if look.find_spec(name) is None]\n"
        "maps = {line.split()[-1] for line in open('/proc/self/maps') if '/' in line}\n"
        "print(json.dumps([sys.prefix, iniconfig.__file__, sorted(maps), sys.path, missing]))"
    )
    # uv's builds find libpython by a path of their own; this machine's is given one. Where mounts are allowed, the
    # folders of the build are hidden.
    hidden = " && ".join(f"mount -t tmpfs none {folder}" for folder in (sys.base_prefix, sys.prefix))
    run = f'exec env -i LD_LIBRARY_PATH={environment}/lib {environment}/bin/python -I -c "$PROGRAM"'
    script = f"if unshare --mount true; then exec unshare --mount sh -c '{hidden} && {run}'; else {run}; fi"
    done = subprocess.run(["sh", "-c", script], env={**os.environ, "PROGRAM": program}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    prefix, module, maps, path, missing = json.loads(done.stdout)
    missing_here = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name) is None}
    assert set(missing) - missing_here == set(standalone_python.LEFT_OUT)
    assert prefix == str(environment)
    assert module == f"{environment}/lib/python3.11/site-packages/iniconfig/__init__.py"
    of_the_build = [entry for entry in [*maps, *path] if entry.startswith((sys.base_prefix, sys.prefix))]
    assert of_the_build == []
    for name in ("python3", "python3.11"):
        # By the names of a venv too.
        command = [str(environment / "bin" / name), "-I", "-c", "import sys; print(sys.prefix)"]
        other = subprocess.run(command, env={"LD_LIBRARY_PATH": f"{environment}/lib"}, capture_output=True, text=True)
        assert other.stdout.strip() == str(environment), other.stderr


def test_the_archive_with_an_interpreter_is_uploaded_where_it_is_asked_for(requirements: str, s3: Any) -> None:
    assert upload_environment(s3, BUCKET, requirements).standalone == ""
    made = upload_environment(s3, BUCKET, requirements, with_interpreter=True, python_root=Path(sys.base_prefix))
    assert made.standalone in keys(s3, BUCKET)
    assert read_environment(s3, BUCKET) == made


def test_a_package_that_is_not_what_was_locked_is_refused(requirements: str, tmp_path: Path) -> None:
    other = requirements.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n"
    with pytest.raises(FruitsError, match="uv pip install failed"):
        build_archive(other, tmp_path / "archive.tar.gz")


def test_without_uv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("fruits_assets.aws.environment.PROJECT", tmp_path)
    with pytest.raises(FruitsError, match="pip install uv"):
        find_uv()


def test_what_is_uploaded_is_what_a_launcher_reads(requirements: str, s3: Any) -> None:
    environment = upload_environment(s3, BUCKET, requirements)
    assert read_environment(s3, BUCKET) == environment
    assert environment.python == "3.11"
    assert environment.packages == packages_of(requirements)
    assert sorted(keys(s3, BUCKET)) == sorted(
        [environment.archive, environment.bootstrap, environment.init_script, CURRENT]
    )


def test_an_environment_that_is_there_is_not_packed_again(requirements: str, s3: Any) -> None:
    told: list[str] = []
    upload_environment(s3, BUCKET, requirements, told.append)
    assert told[0].startswith("Packing 1 packages")
    told.clear()
    upload_environment(s3, BUCKET, requirements, told.append)
    assert told == []


def test_an_environment_that_could_not_be_packed_does_not_become_the_current_one(requirements: str, s3: Any) -> None:
    with pytest.raises(FruitsError):
        upload_environment(s3, BUCKET, requirements.replace("iniconfig", "iniconfig-that-is-none"))
    assert keys(s3, BUCKET) == []


def test_old_environments_go_unless_they_are_in_use_or_among_the_newest() -> None:
    archives = {name: datetime(2026, 11, day, tzinfo=UTC) for day, name in enumerate("abcde", start=1)}
    assert surplus(archives, [], 3) == ["a", "b"]
    assert surplus(archives, ["a"], 3) == ["b"]
    assert surplus(archives, ["a", "b"], 1) == ["c", "d"]
    assert surplus(archives, [], 5) == surplus(archives, [], 9) == surplus({}, [], 3) == []


def test_a_missing_environment_is_told_with_the_remedy(s3: Any) -> None:
    with pytest.raises(FruitsError, match=r"no Python environment in s3://staging.*fruits deploy"):
        read_environment(s3, BUCKET)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}"])
def test_a_current_environment_that_is_none_is_told_with_the_remedy(content: bytes, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=CURRENT, Body=content)
    with pytest.raises(FruitsError, match="not what fruits deploy writes"):
        read_environment(s3, BUCKET)


def test_only_versions_that_matter_are_compared() -> None:
    here = installed_versions()
    assert set(here) == {"python", *AGREEING}
    same = Environment("a", "b", here["python"], {**here, "rich": "1.0"})
    assert differences(same, here) == []
    check_versions(same)
    other = Environment("a", "b", "3.9", {**here, "numpy": "1.0"})
    assert differences(other, here) == [
        f"python 3.9 on the cluster and {here['python']} here",
        f"numpy 1.0 on the cluster and {here['numpy']} here",
    ]
    with pytest.raises(FruitsError, match=r"numpy 1\.0 on the cluster.*uv sync --locked"):
        check_versions(other)


def test_a_package_missing_on_either_side_is_a_difference() -> None:
    here = installed_versions()
    there = {name: version for name, version in here.items() if name != "pandas"}
    assert differences(Environment("a", "b", here["python"], there), here) == [
        f"pandas missing on the cluster and {here['pandas']} here"
    ]
