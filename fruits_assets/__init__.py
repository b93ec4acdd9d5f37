"""The Dagster side of the platform: assets, checks, jobs, sensors and the command line."""

import warnings

# Backfill policies and owners have been in beta since 2023; saying so at every start of a command helps nobody.
# By its words, not as dagster.BetaWarning: the small commands do without Dagster, which takes seconds to import.
warnings.filterwarnings("ignore", message=r".* is currently in beta, and may have breaking changes")
