"""The PCA: fitted in one pass, saved by version, and used to reduce features.

``model`` has ``PcaModel`` and fits it; ``moments`` has the statistics of the fit; ``model_store`` saves and loads it;
``reduce`` plans reduced_features.
"""
