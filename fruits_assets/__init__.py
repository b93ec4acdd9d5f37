"""The Dagster side of the platform: assets, checks, jobs, sensors and the command line."""

import warnings

import dagster as dg

# Backfill policies and owners have been in beta since 2023; saying so at every start of a command helps nobody.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
