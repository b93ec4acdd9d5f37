"""AWS besides S3's objects: clients and their errors, the stack, the environment of its clusters, and the lock in S3.

``sessions`` makes clients; ``infrastructure`` reads the stack's outputs; ``residency`` keeps buckets in the European
Union.
"""
