"""The local Spark session: its Java, its settings and how soon it starts.

``session`` makes the settings; ``interruptible`` waits for a job so that Ctrl-C ends it.
"""
