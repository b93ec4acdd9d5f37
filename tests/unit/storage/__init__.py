"""Tests of locations, in folders and in S3, without a server."""
