"""AWS: clients and their errors, the stack, the Python environment of clusters, and the lock in S3.

``sessions`` makes clients; ``infrastructure`` reads the stack's outputs; ``environment`` packs the nodes' Python
packages; ``residency`` checks that buckets are in the European Union. Tables and photos in S3 are read elsewhere
(``spark_steps.storage``).
"""
