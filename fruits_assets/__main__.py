"""The command ``fruits`` from its first moment: interrupts are watched before anything else is imported."""

import os
import shlex
import sys

from fruits_assets.terminal.interrupts import INTERRUPTS
from spark_steps import at_exit


def entry() -> None:
    """Runs the command line and ends the process without waiting for the threads of C++ libraries.

    Their teardown has aborted a run (SIGABRT, "terminate called without an active exception") that had done all its
    work and printed its report. Spark's JVM ends by itself when its parent does.
    """
    INTERRUPTS.watch(shlex.join(["fruits", *sys.argv[1:]]))
    code = 0
    try:
        # Here: an interrupt may come while click is imported.
        from fruits_assets.commands.cli import main

        main(prog_name="fruits")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        # The line has been written.
        pass
    sys.stdout.flush()
    sys.stderr.flush()
    at_exit.run()
    os._exit(INTERRUPTS.exit_code(code))


if __name__ == "__main__":
    entry()
