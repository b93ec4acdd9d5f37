"""Stands for the process of Python in which Databricks runs the file of a task: it has Spark before, and goes on after.

It runs with the packages of the nodes, and imports nothing of this project.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path

from pyspark.sql import SparkSession


def host(file: str, arguments: list[str]) -> dict[str, str]:
    """Runs a file, and returns its error and the trace of that; nothing where it has succeeded."""
    SparkSession.builder.getOrCreate()
    sys.argv = [file, *arguments]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        return {} if end.code in (None, 0) else {"error": f"SystemExit: {end.code}", "trace": traceback.format_exc()}
    except BaseException as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    return {}


if __name__ == "__main__":
    result, file, *arguments = sys.argv[1:]
    Path(result).write_text(json.dumps(host(file, arguments)))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
