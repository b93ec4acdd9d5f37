"""Pure PySpark and numpy, from folders of photos to feature tables; it travels to a cluster, and imports no Dagster.

Its rooms, each of which imports only those below it: ``queries`` and ``erasure``; ``store``; ``pca``; ``features``;
``photos``; ``tables``; ``spark``; ``storage``. ``errors`` and ``environment`` are below all of them. ``step_main`` and
``python_daemon`` are programs that a cluster and Spark start.
"""
