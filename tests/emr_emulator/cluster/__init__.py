"""A cluster: its state, its nodes, and its life."""
