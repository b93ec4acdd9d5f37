"""Tests: real Spark, real Dagster instances, real Parquet."""

import os

# Set before numpy is imported, and for processes that tests start. With a thread for each core, the threads of several
# processes wait for one another by spinning: a PCA of 1280 features took ten times the processor time on 2 cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
