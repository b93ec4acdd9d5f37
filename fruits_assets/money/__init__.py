"""Prices, costs of runs and of months, the budget, and estimates.

``prices`` reads the price of a node; ``costs`` turns seconds into euros; ``spend`` adds up a month; ``budget`` refuses
a cluster or job that the budget does not allow; ``estimate`` computes time and cost before a run. ``jobs`` has the same
for jobs that are billed by their workers, ``dpus`` for those that are billed by DPUs, and ``account`` brings all
together.
"""
