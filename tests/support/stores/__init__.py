"""Stores made by hand, for those who read them."""
