"""EMR on EC2: clusters that are requested, found again, created and ended, and their steps.

``engine`` is what the launcher works with, and ``launcher`` Dagster's launcher of EMR with it; ``cluster`` has
``Clusters``; ``cluster_request`` makes the request for a new cluster; ``end_schedules`` makes the schedules that end it
at its maximum age; ``failures`` has what EMR knows of a failed step.

These guards end a cluster without any machine of ours: EMR's own idle limit, EMR's limit for Spot instances that it
cannot have, the schedules of ``end_schedules``, and the switch that ``infra/bootstrap.sh`` puts on the cluster. EMR's
idea of idle is not relied upon: a notebook keeps a cluster from being idle, and so does an unfinished application of
YARN.
"""
