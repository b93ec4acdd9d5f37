"""A server of answers over HTTP, and a store for it."""
