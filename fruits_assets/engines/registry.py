"""Which engine a deployment has: the package of this room with its name, of which ``entry`` has what others use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from fruits_assets.engines.engine import Engine
from fruits_assets.settings import Settings

if TYPE_CHECKING:
    # It imports Dagster, which a command that asks for an engine does not need before it knows which.
    from fruits_assets.engines.launcher import LaunchesSteps

LOCAL = "local"


@dataclass(frozen=True)
class EngineEntry:
    """What the platform uses of an engine.

    Attributes:
        make_engine: Makes the engine; requests may be made then.
        make_launcher: Makes its step launcher from the settings and the names of the jobs; no request is made.
        runs_jobs_alone: Whether a job runs on nothing that outlives it, so that it is ended by itself.
    """

    make_engine: Callable[[Settings], Engine]
    make_launcher: Callable[[Settings, Sequence[str]], "LaunchesSteps"]
    runs_jobs_alone: bool = True


def entry_of(deployment: str) -> EngineEntry:
    """Returns the engine of a deployment other than ``local``.

    Args:
        deployment: As in the settings: the name of the package, with hyphens.
    """
    module = import_module(f"fruits_assets.engines.{deployment.replace('-', '_')}.entry")
    entry: EngineEntry = module.ENTRY
    return entry


def runs_jobs_alone(deployment: str) -> bool:
    """Returns whether a deployment has an engine, and one whose jobs run on nothing that outlives them."""
    return deployment != LOCAL and entry_of(deployment).runs_jobs_alone
