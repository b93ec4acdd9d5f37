"""The former name of ``fruits_assets.instance.event_storage``, for the ``dagster.yaml`` of homes made before 2026-12.

An unedited ``dagster.yaml`` of a home is updated. An edited one stays as it is, and names this module: without it,
Dagster could not open the home.
"""

from fruits_assets.instance.event_storage import BatchedSqliteEventLogStorage

__all__ = ["BatchedSqliteEventLogStorage"]
