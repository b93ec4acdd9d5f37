"""Where steps run, other than in the launching process: a step is described as JSON, sent, run and its events relayed.

``launcher`` is Dagster's step launcher; ``remote`` runs on the cluster; ``relay`` passes its events on;
``step_failures`` says why a step failed; ``guards`` see that no cluster is forgotten. ``emr`` has the clusters.
"""
