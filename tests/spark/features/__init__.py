"""Tests on a real Spark session and real files."""
