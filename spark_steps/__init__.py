"""Pure PySpark and numpy: from folders of photos to feature tables. Imports nothing of Dagster."""
