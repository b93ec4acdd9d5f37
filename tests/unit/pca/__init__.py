"""Tests of pca."""
