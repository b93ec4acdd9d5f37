"""Questions to a store: what a single photo is, which photos are nearest to it, and all reduced features in one file.

``identify`` and ``neighbours`` answer for a photo; ``export`` writes files for other programs.
"""
