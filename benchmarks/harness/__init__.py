"""Runs contenders in turn on the same photos, watches their processes and compares their features with ours."""
