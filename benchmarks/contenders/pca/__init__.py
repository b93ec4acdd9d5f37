"""Features to a PCA."""
