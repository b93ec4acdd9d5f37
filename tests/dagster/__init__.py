"""Tests on real Dagster instances: runs, partitions, sensors, records."""
