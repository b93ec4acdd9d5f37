"""Delta tables partitioned by image folder: tasks write files, and one commit makes them the table.

``folder_table`` has ``FolderTable`` and ``TableChange``, which the rooms above plan; ``delta_log`` commits;
``deferred_rows`` and ``partitions`` are what tasks compute; ``totals`` and ``footers`` say what a table holds without
reading its rows.
"""
