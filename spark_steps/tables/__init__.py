"""Delta tables partitioned by image folder: tasks write Parquet files, and one commit adds them to the table.

``folder_table`` has ``FolderTable`` and ``TableChange``, which the packages above plan; ``delta_log`` commits;
``deferred_rows`` and ``partitions`` define what tasks compute; ``totals`` and ``footers`` summarise a table's rows
without reading them.
"""
