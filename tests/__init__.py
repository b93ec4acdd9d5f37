"""Tests: real Spark, real Dagster instances, real Parquet."""
