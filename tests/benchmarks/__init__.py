"""Tests of the benchmarks: they run, and a contender that is wrong counts for nothing."""
