"""An archive of the classes that Spark loads, which Java then maps instead of reading, verifying and linking them.

``class_archive_training`` makes it, once for each environment: Java's application class data sharing
(JEP 350). Without it everything works, and Spark takes longer to start and to plan (docs/benchmarks.md).
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

# In the process whose classes are archived: the directory of its temporary files, to which Java writes the archive.
TRAINING = "FRUITS_CLASS_ARCHIVE_TRAINING"
MADE = "made.jsa"


def java_options(java_home: Path) -> list[str]:
    """Returns the options with which Java uses the archive, none where there is no archive for this Java and Spark.

    An archive that does not fit, for its jars or Java have changed, is passed over by Java.

    Args:
        java_home: The Java that will run.
    """
    # A class path of its own, to which the archive would not fit.
    if os.environ.get("SPARK_CONF_DIR") or os.environ.get("SPARK_HOME"):
        return []
    base, archive = base_of(java_home), archive_of(java_home)
    if directory := os.environ.get(TRAINING):
        return [f"-XX:SharedArchiveFile={base}", f"-XX:ArchiveClassesAtExit={directory}/{MADE}", "-Xlog:disable"]
    # Java would print a warning about an archive that does not fit to where the user reads.
    return [f"-XX:SharedArchiveFile={base}:{archive}", "-Xlog:disable"] if archive.exists() else []


def archive_of(java_home: Path) -> Path:
    """Returns where the archive for a Java lies, or would lie: in this environment, whose jars it is bound to."""
    return _directory() / f"spark-{version('pyspark')}-java-{_release(java_home)}.jsa"


def _directory() -> Path:
    return Path(sys.prefix) / "share" / "fruits"


def _release(java_home: Path) -> str:
    lines = (java_home / "release").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("JAVA_VERSION="))


def base_of(java_home: Path) -> Path:
    """Returns the archive of Java's own classes: Java's, or one made where a Java comes without."""
    own = java_home / "lib" / "server" / "classes.jsa"
    return own if own.exists() else _directory() / f"java-{_release(java_home)}.jsa"
