"""The engines, as far as they need no service."""
