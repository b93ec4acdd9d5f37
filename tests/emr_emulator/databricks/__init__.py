"""A Databricks workspace: each run has nodes of its own, an init script and a real spark-submit with executors."""
