"""The whole pipeline as ``fruits run`` runs it, on the code location of the settings."""

from collections.abc import Callable, Sequence

import dagster as dg

from fruits_assets.definitions import build_definitions
from fruits_assets.jobs import pipeline
from fruits_assets.settings import Settings


def run_pipeline(
    settings: Settings,
    instance: dg.DagsterInstance,
    patterns: Sequence[str] = ("*",),
    say: Callable[[str], None] = print,
) -> None:
    """Runs all stages."""
    pipeline.run_pipeline(settings, instance, build_definitions, patterns, say)
