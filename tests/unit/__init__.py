"""Tests without Spark, without a server and without a process of ours; their folders are the rooms of the packages."""
