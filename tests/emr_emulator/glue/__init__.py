"""Glue: jobs are moto's, and each run is a real spark-submit with executors of its own."""
