"""What a contender's process is told, and how it answers."""

import json
import sys
import time
from dataclasses import asdict, dataclass

COMPONENTS = 350


@dataclass(frozen=True)
class Job:
    """What one process is to do.

    Attributes:
        data: Images root, features table or photo, whatever the contender works on.
        flatbuffer: Path of the converted network.
        weights: The weights' source, for Keras.
        store: The store that the contender begins with, where it needs one.
        home: The Dagster home.
        output: Directory for its results.
        size: Photos or rows.
        cores: Cores to use.
        seconds: How long a limit is measured.
        started: ``time.time()`` as the process was started.
    """

    data: str
    flatbuffer: str
    weights: str
    store: str
    home: str
    output: str
    size: int
    cores: int
    seconds: float
    started: float

    def as_argument(self) -> str:
        """Returns the job as the one argument of the contender's process."""
        return json.dumps(asdict(self))

    def since_start(self) -> float:
        """Returns the seconds since the process was started, the start of Python and all imports included."""
        return time.time() - self.started


def read_job() -> Job:
    """Returns the job of this process."""
    return Job(**json.loads(sys.argv[1]))


def tell(**facts: object) -> None:
    """Answers with what the harness cannot measure from outside; the last line that is printed."""
    sys.stdout.write("\n" + json.dumps(facts) + "\n")
    sys.stdout.flush()
