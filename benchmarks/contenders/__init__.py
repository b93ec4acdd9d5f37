"""One file for each contender; each runs as a process of its own."""
