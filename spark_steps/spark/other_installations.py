"""Variables of other installations of Spark, Hadoop, Java and Python, which a session on this machine must not follow.

An environment often describes another installation: a client of a cluster, a notebook server, conda. Its Spark has
another version, its default file system is not this machine's, its options are for another program. The session here
has all of its options from ``local_spark_config``. On a cluster these variables are those of the cluster itself, and
none of this module is called there.
"""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.machinery import PathFinder

from spark_steps.environment import unset
from spark_steps.errors import FruitsError

# The beginnings of names that are not followed, with the reason.
_PREFIXES = {
    "SPARK_": "another Spark: its home, its defaults (SPARK_CONF_DIR), its server (SPARK_REMOTE), its disks",
    "_SPARK_": "what one Spark process hands to the next",
    "PYSPARK_": "another Python, another Java process to connect to, or options of another program",
    "_PYSPARK_": "what one Spark process hands to the next",
    "HADOOP_": "another default file system and its codecs (HADOOP_CONF_DIR), or another user's name",
    "YARN_": "a second name of HADOOP_CONF_DIR, which Spark puts on its class path too",
}
# Other names that are not followed, with the reason.
_NAMES = {
    "DEPLOY_MODE": "read by spark-submit; used by other programs with values that Spark refuses",
    "MASTER": "read by spark-submit, as DEPLOY_MODE",
    "_JAVA_OPTIONS": "takes precedence over the command line, and so over FRUITS_DRIVER_MEMORY",
}
# Packages of which another version gives other results, or errors that do not lead to their cause.
_PACKAGES = (
    *("pyspark", "py4j", "numpy", "pandas", "pyarrow", "deltalake", "PIL", "tensorflow", "keras", "ai_edge_litert"),
    *("dagster", "dagster_pyspark", "dagster_aws", "boto3", "botocore", "pydantic", "pydantic_settings", "click"),
)


def not_followed(names: Iterable[str]) -> list[str]:
    """Returns those names of environment variables that a session on this machine does not follow."""
    return sorted(name for name in names if name.startswith(tuple(_PREFIXES)) or name in _NAMES)


@lru_cache(maxsize=1)
def unset_other_installations() -> None:
    """Removes the variables of other installations from this process and those that it starts.

    Once, before the first session: later, PySpark has set variables of its own.
    """
    for name in not_followed(os.environ):
        unset(name)


def check_python_path() -> None:
    """Raises a FruitsError where ``PYTHONPATH`` has another version of a package, which Python takes first."""
    named = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own = {os.path.realpath(entry) for entry in named}
    others = [entry for entry in sys.path if os.path.realpath(entry) not in own]
    for package in _PACKAGES if named else ():
        if (first := _origin(package, named)) is not None and _origin(package, others) is not None:
            raise FruitsError(
                f"PYTHONPATH has another {package}, {first}, which Python takes in place of the one that fruits was "
                "installed with. Run again without it: unset PYTHONPATH"
            )


def _origin(package: str, path: list[str]) -> str | None:
    found = PathFinder.find_spec(package, path)
    return found.origin if found is not None else None
