"""The steps from folders of photos to feature tables, in PySpark and numpy; runs on clusters, and imports no Dagster.

Its packages, each of which imports only those below it: ``queries`` and ``erasure``; ``store``; ``pca``; ``features``;
``photos``; ``tables``; ``spark``; ``storage``. ``errors`` and ``environment`` are below all of them. ``step_main`` is
the program that a cluster starts, and ``python_daemon`` the one that Spark starts.
"""
