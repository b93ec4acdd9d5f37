"""Answers over HTTP: one photo to its nearest labels, by a process that keeps the photos of a store in memory.

``server`` listens and stops; ``app`` has the routes, and ``answers`` what they answer; ``guard`` refuses strangers;
``body`` and ``admission`` bound what is taken in; ``workers`` are the processes that decode (``worker``); ``service``
answers one photo; ``served`` is a store in memory, and decides when a newer version of it is loaded.
None of them imports Dagster or Spark: the server starts in a second.
"""
