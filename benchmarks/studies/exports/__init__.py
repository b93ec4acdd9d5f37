"""Memory and processor time of ``fruits export`` of all features, against the number of photos.

``python -m benchmarks.studies.exports --photos 10000 --photos 100000``.
"""
