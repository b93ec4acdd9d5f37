"""Tests of the server's decisions, without a server."""
