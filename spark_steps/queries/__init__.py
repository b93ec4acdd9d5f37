"""Queries of a store: the label of a single photo, its nearest photos, a report, and exports of all features.

``identify`` and ``neighbours`` are about single photos; ``report`` summarises a store; ``splits`` has the part of each
photo, train, validation or test. ``export`` writes files for other programs, ``export_tfrecord`` and
``export_huggingface`` those of two libraries; ``export_rows`` reads what they write, and ``export_target`` decides
where to.
"""
