"""The archive of the classes that Spark loads: Java maps it instead of reading, verifying and linking the classes.

``class_archive_training`` makes it once for each environment, with Java's application class data sharing (JEP 350).
Spark works without it, but takes longer to start and to plan (docs/benchmarks.md).
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

# Environment variable of the training process: its temporary directory, to which Java writes the archive.
TRAINING = "FRUITS_CLASS_ARCHIVE_TRAINING"
MADE = "made.jsa"


def java_options(java_home: Path) -> list[str]:
    """Returns the options with which Java uses the archive; none if there is no archive for this Java and Spark.

    Java ignores an archive that does not match, because the jars or Java have changed.

    Args:
        java_home: The Java that will run.
    """
    base, archive = base_of(java_home), archive_of(java_home)
    if directory := os.environ.get(TRAINING):
        return [f"-XX:SharedArchiveFile={base}", f"-XX:ArchiveClassesAtExit={directory}/{MADE}", "-Xlog:disable"]
    # Disable Java's log: it would print a warning about an archive that does not match on the user's terminal.
    return [f"-XX:SharedArchiveFile={base}:{archive}", "-Xlog:disable"] if archive.exists() else []


def archive_of(java_home: Path) -> Path:
    """Returns the path of the archive for a Java, whether it exists or not: it belongs to this environment's jars."""
    return _directory() / f"spark-{version('pyspark')}-java-{_release(java_home)}.jsa"


def _directory() -> Path:
    return Path(sys.prefix) / "share" / "fruits"


def _release(java_home: Path) -> str:
    lines = (java_home / "release").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("JAVA_VERSION="))


def base_of(java_home: Path) -> Path:
    """Returns the path of the archive of Java's own classes: the one in Java's home, or ours if Java has none."""
    own = java_home / "lib" / "server" / "classes.jsa"
    return own if own.exists() else _directory() / f"java-{_release(java_home)}.jsa"
