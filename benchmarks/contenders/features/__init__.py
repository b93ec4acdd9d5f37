"""Photos to features."""
