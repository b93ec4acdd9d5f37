"""EMR Serverless: jobs of the stack's application, which costs nothing while no job runs.

``engine`` is what the launcher works with; ``job_request`` makes the request for a job; ``application`` has what the
stack's application must be like; ``failures`` has what the service tells of a failed job.
"""
