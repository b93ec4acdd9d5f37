"""The Dagster side of the platform: assets, checks, jobs, sensors and the command line.

Its packages, from top to bottom; each imports only those below it: ``commands``; ``automation``; ``jobs``; ``assets``
and ``engines``; ``money``; ``instance``; ``aws``; ``terminal``. ``definitions`` combines them with the ``resources`` of
a deployment into the code location that Dagster loads. ``settings`` is below all of them.
"""

import warnings

# Hide Dagster's beta warnings at each start of a command: backfill policies and owners have been in beta since 2023.
# The filter matches the message, not dagster.BetaWarning: the small commands do not import Dagster, which takes
# seconds.
warnings.filterwarnings("ignore", message=r".* is currently in beta, and may have breaking changes")
