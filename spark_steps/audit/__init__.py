"""The audit of a store: groups of near-duplicates, a split without leakage, and findings about photos and labels.

``plan`` plans both tables; ``groups`` and ``neighbourhoods`` compare the photos on Spark, in the ``cells`` of a k-means
clustering, by the matrix products of ``comparison``; ``split`` and ``findings`` are pure functions; ``version`` says
whether an audit is out of date; ``drift`` compares folders with the PCA model.
"""
