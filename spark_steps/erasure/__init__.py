"""Photos erased for good: planned from the tables and the files, and carried out so that it can be interrupted.

``plan`` says what would go; ``carry_out`` does it.
"""
