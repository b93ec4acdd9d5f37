"""What the platform uses of EMR Serverless."""

from collections.abc import Sequence

from dagster import StepLauncher

from fruits_assets.engines.emr_serverless.engine import ServerlessEngine
from fruits_assets.engines.launcher import LaunchesSteps
from fruits_assets.engines.registry import EngineEntry
from fruits_assets.settings import Settings


class ServerlessStepLauncher(LaunchesSteps, StepLauncher):
    """Runs a step of an asset as a job of the stack's application."""

    def __init__(self, settings: Settings, jobs: Sequence[str] = ()) -> None:
        self.prepare(settings, jobs, ServerlessEngine)


ENTRY = EngineEntry(make_engine=ServerlessEngine, make_launcher=ServerlessStepLauncher)
