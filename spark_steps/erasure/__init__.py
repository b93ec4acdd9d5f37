"""Permanent erasure of photos, which can be interrupted and resumed.

``lists`` reads lists of photos; ``plan`` finds what an erasure would delete, from the tables and the files;
``carry_out`` deletes it.
"""
