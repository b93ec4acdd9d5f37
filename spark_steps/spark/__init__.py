"""The local Spark session: its Java, its settings and the time that it takes to start.

``session`` makes the settings; ``other_installations`` keeps out what the environment says of another Spark;
``class_archive`` shortens the start; ``tasks`` runs functions in tasks, which Ctrl-C cancels.
"""
