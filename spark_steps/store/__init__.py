"""A store as a whole: the locations of its tables and models, which parts are stale, and its history.

``store`` has ``Store``, which gives access to everything in a store; ``staleness`` compares its tables; ``summaries``
counts the contents of each folder; ``versions`` reads the history.
"""
