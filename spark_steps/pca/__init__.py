"""The PCA: fitted in one pass, saved by version, and used to reduce features.

``model`` has ``PcaModel`` and fits it; ``model_store`` saves and loads it; ``reduce`` plans reduced_features.
"""
