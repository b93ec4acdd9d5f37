"""One photo among the many of a store."""
