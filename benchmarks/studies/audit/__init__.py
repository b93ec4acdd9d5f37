"""Studies of the audit: its exactness, its growth with photos, and what it finds of faults that were planted.

``python -m benchmarks.studies.audit exactness | growth | planted``
"""
