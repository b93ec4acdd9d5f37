"""What the platform uses of Glue."""

from collections.abc import Sequence

from dagster import StepLauncher

from fruits_assets.engines.glue.engine import GlueEngine
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.engines.registry import EngineEntry
from fruits_assets.settings import Settings


class GlueStepLauncher(LaunchesSteps, StepLauncher):
    """Runs a step of an asset as a run of the stack's Glue job."""

    def __init__(self, settings: Settings, jobs: Sequence[str] = ()) -> None:
        self.prepare(settings, jobs, GlueEngine)


ENTRY = EngineEntry(make_engine=GlueEngine, make_launcher=GlueStepLauncher)
