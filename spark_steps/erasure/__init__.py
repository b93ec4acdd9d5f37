"""Permanent erasure of photos, which can be interrupted and resumed.

``plan`` finds what an erasure would delete, from the tables and the files; ``carry_out`` deletes it.
"""
