"""Results of the benchmarks: kept, printed as a table, and drawn."""
