"""Places where steps run: a step is described as JSON, sent there and run, and its events come back.

``engine`` is the contract of such a place; ``registry`` finds that of a deployment; ``launcher`` is Dagster's step
launcher for all of them; ``remote`` runs where the step runs; ``staging`` has the files that both exchange; ``relay``
stores the events of a step in the launching instance; ``step_failures`` explains why a step failed; ``guards`` ends
what no run needs. Each engine has a package of its own.
"""
