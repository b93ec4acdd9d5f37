"""The process from which Spark forks its Python workers; it imports their modules once, and the workers share them.

Spark's own daemon does not import these modules: each worker would take 1.5 seconds and its own memory for them.
"""

import gc
import sys
from importlib import import_module
from pathlib import Path

_PRELOADED = (
    "ai_edge_litert.interpreter",
    "pandas",  # Pyarrow imports it for its first array.
    "PIL.JpegImagePlugin",
    "spark_steps.features.mobilenet",
    "spark_steps.tables.folder_table",
)


def _leave_out_archives() -> None:
    """Makes Python take PySpark from where it is installed, and not from the zip files and the jar before it.

    Spark adds these to the path. Python compiles the modules of a zip file at each start. And before each task
    PySpark's worker invalidates the caches of imports, for which Python 3.11 reads the directories of all archives
    again, of some once for each package in them: 0.1 seconds of processor time for a task that computes nothing.
    """
    sys.path[:] = [entry for entry in sys.path if not Path(entry).is_file()]
    sys.path_importer_cache.clear()


def main() -> None:
    """Imports the modules, and forks workers until Spark ends."""
    _leave_out_archives()
    for name in _PRELOADED:
        import_module(name)
    daemon = import_module("pyspark.daemon")
    # Exclude the imported objects from garbage collection, which would write to, and so copy, the pages shared with
    # the workers. These objects are needed until the end anyway.
    gc.freeze()
    daemon.manager()


if __name__ == "__main__":
    main()
