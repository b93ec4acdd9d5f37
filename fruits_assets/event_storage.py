"""The name under which ``dagster.yaml`` of homes made before 2026-12 has the storage of events.

A home's ``dagster.yaml`` that nobody has edited is brought up to date; one that somebody has edited stays as it is, and
Dagster would not open the home without this module.
"""

from fruits_assets.instance.event_storage import BatchedSqliteEventLogStorage

__all__ = ["BatchedSqliteEventLogStorage"]
