"""Databricks on AWS: one-time runs of a workspace, each on a job cluster of its own that ends with it.

``engine`` is what the launcher works with; ``run_request`` makes the request for a run and its cluster; ``runs``
starts, describes and lists runs; ``policy`` has the cluster policy that bounds what a cluster may be; ``failures`` has
what Databricks tells of a failed run.
"""
