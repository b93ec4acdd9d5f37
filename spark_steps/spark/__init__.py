"""The local Spark session: its Java, its settings and the time that it takes to start.

``session`` makes the settings; ``connector`` adds S3; ``class_archive`` shortens the start; ``interruptible`` waits for
a job so that Ctrl-C cancels it.
"""
