"""Tests of erasures, interrupted ones among them."""
