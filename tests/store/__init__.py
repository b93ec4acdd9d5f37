"""Tests of whole stores: former versions, queries, other readers, damage."""
