"""The entry point of the command ``fruits``, which handles interrupts before it imports anything else."""

import os
import shlex
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from fruits_assets.terminal.interrupts import INTERRUPTS
from fruits_assets.terminal.streams import flush_standard_streams, open_standard_streams
from spark_steps import at_exit
from spark_steps.environment import name_user
from spark_steps.errors import FruitsError
from spark_steps.spark.other_installations import check_python_path


def _check_surroundings() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise FruitsError("The current folder has been deleted. Change to another one (cd), and run again.") from error
    if sys.getfilesystemencoding() != "utf-8":
        raise FruitsError(
            f"Names of files are {sys.getfilesystemencoding()} by this locale and PYTHONUTF8, and those of photos are "
            "UTF-8. Run again after: export PYTHONUTF8=1"
        )
    if sys.flags.optimize > 1:
        raise FruitsError("PYTHONOPTIMIZE=2 removes texts that PySpark needs. Run again after: unset PYTHONOPTIMIZE")
    check_python_path()
    name_user()


def _run() -> int:
    """Runs the command line and returns its exit code.

    Raises:
        FruitsError: No command can work here.
        OSError: The output cannot be written.
    """
    code = 0
    try:
        _check_surroundings()
        # Imported here, because an interrupt may come while click is imported, and PYTHONPATH may have another one.
        from fruits_assets.commands.cli import main

        main(prog_name="fruits")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        # ``INTERRUPTS`` has printed the message already.
        pass
    flush_standard_streams()
    return code


def entry() -> None:
    """Runs the command line and ends the process without waiting for the threads of C++ libraries.

    The teardown of these threads has aborted a run (SIGABRT, "terminate called without an active exception") after all
    of its work was done and its report was printed. Spark's JVM ends by itself when its parent process ends.
    """
    open_standard_streams()
    INTERRUPTS.watch(shlex.join(["fruits", *sys.argv[1:]]))
    try:
        code = _run()
    except (FruitsError, OSError) as error:
        code = 1
        with suppress(OSError):
            print(f"Error: {_sentence_of(error)}", file=sys.stderr, flush=True)
    at_exit.run()
    os._exit(INTERRUPTS.exit_code(code))


def _sentence_of(error: FruitsError | OSError) -> str:
    if isinstance(error, FruitsError):
        return str(error)
    # Imported here, because it imports click.
    from fruits_assets.terminal.problems import message_of

    return message_of(error) or "".join(traceback.format_exception(error))


if __name__ == "__main__":
    entry()
