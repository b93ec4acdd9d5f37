"""Delta tables partitioned by image folder: tasks write Parquet files, and one commit adds them to the table.

``folder_table`` has ``FolderTable`` and ``TableChange``, which the packages above plan; ``delta_log`` commits;
``deferred_rows`` has the rows that tasks compute, ``partitions`` their shares of files; ``totals`` and ``footers``
summarise a table's rows without reading them.
"""
