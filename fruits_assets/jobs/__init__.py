"""The jobs that people and sensors start, the whole pipeline, and erasures.

``jobs`` defines the jobs; ``pipeline`` runs three of them in turn; ``erasure_service`` erases photos while no run is
under way.
"""
