"""Steps on a cluster: a step is described as JSON, sent to the cluster and run there, and its events come back.

``launcher`` is Dagster's step launcher; ``remote`` runs on the cluster; ``relay`` stores the events of a step in the
launching instance; ``step_failures`` explains why a step failed; ``guards`` end idle clusters; ``emr`` has the
clusters.
"""
