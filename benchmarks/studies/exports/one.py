"""One ``fruits export`` in a process of its own, which tells its greatest memory and its processor time."""

import contextlib
import io
import resource
import sys

from benchmarks.harness.job import tell
from benchmarks.harness.memory import peak_resident_bytes
from fruits_assets.commands.cli import main as fruits


def main() -> None:
    """Runs ``fruits export`` with the arguments of this process."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        fruits(["export", *sys.argv[1:]], standalone_mode=False)
    used = resource.getrusage(resource.RUSAGE_SELF)
    photos = int(said.getvalue().split()[0].replace(",", ""))
    tell(photos=photos, processor_seconds=used.ru_utime + used.ru_stime, resident_bytes=peak_resident_bytes())


if __name__ == "__main__":
    main()
