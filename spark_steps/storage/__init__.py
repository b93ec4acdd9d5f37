"""Locations, a folder of this machine or a prefix in S3: what lies there is listed, read, written and deleted.

``locations`` is what the other rooms call. It finds the backend of a location by its scheme in ``registry``; a further
kind is a module with a class that has what ``backend.Backend`` names, and an entry there.
"""
