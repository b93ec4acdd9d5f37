"""What the platform uses of Databricks."""

from collections.abc import Sequence

from dagster import StepLauncher

from fruits_assets.engines.databricks.engine import DatabricksEngine
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.engines.registry import EngineEntry
from fruits_assets.settings import Settings


class DatabricksStepLauncher(LaunchesSteps, StepLauncher):
    """Runs a step of an asset as a one-time run of a Databricks workspace."""

    def __init__(self, settings: Settings, jobs: Sequence[str] = ()) -> None:
        self.prepare(settings, jobs, DatabricksEngine)


ENTRY = EngineEntry(make_engine=DatabricksEngine, make_launcher=DatabricksStepLauncher)
