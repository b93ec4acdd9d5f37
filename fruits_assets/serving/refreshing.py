"""When a newer version of a store is loaded beside the one that answers, and what becomes of one that is broken."""

from dataclasses import dataclass
from enum import Enum, auto

from fruits_assets.serving.served import StoreVersion

# A run makes a new PCA model current, and then reduces all photos by it. To read the store in between takes the
# features of all photos, 25 times as much: wait for the run as long as this.
PATIENCE_SECONDS = 600.0


class Step(Enum):
    """What to do about the newest version of a store."""

    NOTHING = auto()
    RELABEL = auto()
    LOAD_IF_WHOLE = auto()
    LOAD = auto()


@dataclass(frozen=True)
class Watch:
    """What is known of versions that do not answer yet.

    Attributes:
        broken: A version that could not be loaded, and is not tried again before it changes.
        outdated_since: When a newer version was first seen, seconds; None where the newest one answers.
    """

    broken: StoreVersion | None = None
    outdated_since: float | None = None

    def next_step(self, served: StoreVersion | None, newest: StoreVersion, now: float) -> Step:
        """Decides what to do about the newest version.

        Args:
            served: The version that answers; None before there is one.
            newest: The newest version.
            now: Seconds on the same clock as ``outdated_since``.
        """
        if served is None:
            return Step.LOAD
        if newest == served:
            return Step.NOTHING
        if newest.holds_the_same(served):
            return Step.RELABEL
        if self.broken == newest:
            return Step.NOTHING
        waited = 0.0 if self.outdated_since is None else now - self.outdated_since
        return Step.LOAD if waited >= PATIENCE_SECONDS else Step.LOAD_IF_WHOLE
