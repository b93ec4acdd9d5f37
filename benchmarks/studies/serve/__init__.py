"""Studies of ``fruits serve``: answers under load beside ``fruits identify``, and the index for very many photos.

``python -m benchmarks.studies.serve`` and ``python -m benchmarks.studies.serve.index`` take ``--help``.
"""
