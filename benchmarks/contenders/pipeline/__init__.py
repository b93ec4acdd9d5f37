"""Photos to reduced features, the whole way."""
