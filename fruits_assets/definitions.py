"""The code location: assets, checks, jobs, sensors, and the resources of the chosen deployment."""

import dagster as dg

from fruits_assets.assets import ALL_ASSETS
from fruits_assets.assets.audit_checks import ALL_AUDIT_CHECKS
from fruits_assets.assets.checks import ALL_CHECKS
from fruits_assets.automation.sensors import automation_sensors, killed_runs_sensor
from fruits_assets.engines.guards import guard_sensor
from fruits_assets.engines.registry import LOCAL
from fruits_assets.jobs.jobs import ALL_JOBS
from fruits_assets.resources import resources_of
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.progress import PROGRESS_LOGGER, progress_logger


def build_definitions(settings: Settings) -> dg.Definitions:
    """Returns the code location for some settings."""
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=[*ALL_CHECKS, *ALL_AUDIT_CHECKS],
        jobs=ALL_JOBS,
        sensors=[
            *automation_sensors(settings),
            killed_runs_sensor,
            *([] if settings.deployment == LOCAL else [guard_sensor]),
        ],
        resources={
            **resources_of(settings),
            # For whole_pipeline: its stages are runs of jobs with the settings in its run configuration.
            "definitions_for": dg.ResourceDefinition.hardcoded_resource(build_definitions),
        },
        loggers={"console": dg.colored_console_logger, PROGRESS_LOGGER: progress_logger},
        # One process for all steps of a run: one JVM in place of five, at 5 s each to start.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Returns the code location for the settings of the environment, when Dagster asks for it."""
    return build_definitions(read_settings())
