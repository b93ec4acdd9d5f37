"""Everything that touches a Dagster instance: its home, its records, its runs and its UI.

``internals`` is the only module that imports names of Dagster that are not public; ``home`` finds the instance of a
store; ``in_flight`` lists unfinished runs; ``liveness`` finds runs whose process was killed.
"""
