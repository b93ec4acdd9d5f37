"""Clusters of EMR: what is asked for, found, created and ended.

``cluster`` has ``Clusters``; ``cluster_request`` is what a new one is to be.
"""
