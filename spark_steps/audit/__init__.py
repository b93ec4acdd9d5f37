"""The audit of a store: groups of near-duplicates, a split without leakage, and findings about photos and labels.

``plan`` plans both tables. ``neighbourhoods`` compares the photos on Spark, in the ``cells`` of a k-means clustering,
by the matrix products of ``comparison``. ``split``, ``findings`` and ``flags``, which judges the measures of quality,
are pure functions. ``version`` says whether an audit is out of date; ``drift`` compares folders with the PCA model.
"""
