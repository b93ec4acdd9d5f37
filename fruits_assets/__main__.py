"""The entry point of the command ``fruits``, which handles interrupts before it imports anything else."""

import os
import shlex
import sys

from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps import at_exit


def entry() -> None:
    """Runs the command line and ends the process without waiting for the threads of C++ libraries.

    The teardown of these threads has aborted a run (SIGABRT, "terminate called without an active exception") after all
    of its work was done and its report was printed. Spark's JVM ends by itself when its parent process ends.
    """
    INTERRUPTS.watch(shlex.join(["fruits", *sys.argv[1:]]))
    code = 0
    try:
        # Imported here, because an interrupt may come while click is imported.
        from fruits_assets.commands.cli import main

        main(prog_name="fruits")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        # ``INTERRUPTS`` has printed the message already.
        pass
    sys.stdout.flush()
    sys.stderr.flush()
    at_exit.run()
    os._exit(INTERRUPTS.exit_code(code))


if __name__ == "__main__":
    entry()
