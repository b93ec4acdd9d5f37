"""What people and sensors start: jobs, the whole pipeline, and erasures.

``jobs`` defines the jobs; ``pipeline`` runs three of them in turn; ``erasure_service`` erases while no run works.
"""
