"""Queries of a store: the label of a single photo, its nearest photos, a report, and exports of all reduced features.

``identify`` and ``neighbours`` are about single photos; ``report`` summarises a store; ``export`` writes files for
other programs, and ``export_target`` decides where to.
"""
