"""Exports of a store's features for other programs, in batches and without Spark.

``files`` writes CSV, NPZ and Parquet, ``tfrecord`` and ``huggingface`` the forms of two libraries; ``rows`` reads what
they write, and ``target`` decides where to.
"""
