"""Tests against a server of S3 in a process of its own."""
