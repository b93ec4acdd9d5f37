"""The Dagster side of the platform: assets, checks, jobs, sensors and the command line.

Its rooms, each of which imports only those below it: ``commands``; ``automation``; ``jobs``; ``assets`` and
``engines``; ``money``; ``instance``; ``aws``; ``terminal``. ``definitions`` makes the code location that Dagster loads
of them, with the ``resources`` of a deployment; ``settings`` are below all of them.
"""

import warnings

# Backfill policies and owners have been in beta since 2023; saying so at every start of a command helps nobody.
# By its words, not as dagster.BetaWarning: the small commands do without Dagster, which takes seconds to import.
warnings.filterwarnings("ignore", message=r".* is currently in beta, and may have breaking changes")
