"""What automation does next: pure decisions, a survey of a store, and the sensors that start runs.

``decisions`` takes numbers and returns what is due; ``survey`` reads the numbers; ``sensors`` ask Dagster for runs.
"""
