"""A store as a whole: where its tables and models lie, what of it is stale, and how it was before.

``store`` has ``Store``, from which everything else in a store is reached; ``staleness`` compares its tables;
``summaries`` counts what each folder holds.
"""
