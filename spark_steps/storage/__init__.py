"""Locations, a folder of this machine or a prefix in S3: what lies there is listed, read, written and deleted.

``locations`` is what the other rooms call; the modules named ``s3_...`` and ``object_store`` know S3.
"""
