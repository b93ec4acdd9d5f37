"""Automation: decisions on what is due, a survey of a store, and the sensors that request runs.

``survey`` reads figures from listings and footers; ``decisions`` are pure functions of such figures; ``sensors``
request runs from Dagster.
"""
