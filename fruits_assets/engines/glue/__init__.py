"""AWS Glue: runs of the stack's job, which costs nothing while no run is under way.

``engine`` is what the launcher works with; ``run_request`` makes the request for a run; ``runs`` lists and reads runs
and their logs; ``job`` has what the stack's job must be like; ``failures`` has what Glue tells of a failed run.
"""
