"""Load tests of a server that is running, here or elsewhere."""
