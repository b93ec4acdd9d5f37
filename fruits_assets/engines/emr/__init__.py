"""Clusters of EMR: how they are requested, found again, created and ended.

``cluster`` has ``Clusters``; ``cluster_request`` makes the request for a new cluster; ``end_schedules`` makes the
schedules that end it at its maximum age.
"""
