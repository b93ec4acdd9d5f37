"""Money: prices, what a run has cost, what a month has cost, and what a run may cost at most.

``costs`` turns seconds into euros; ``budget`` refuses; ``estimate`` says beforehand.
"""
