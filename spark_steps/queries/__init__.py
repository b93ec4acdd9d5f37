"""Queries of a store: the label of a single photo, its nearest photos, a report, and exports of all features.

``identify`` and ``neighbours`` are about single photos; ``photo_index`` keeps those of a store in memory, with an
``approximate`` index where there are many, whose ``recall`` is measured. ``report`` and ``audit_report`` summarise a
store and its audit; ``splits`` has the part of each photo, train, validation or test. ``exports`` writes for others.
"""
