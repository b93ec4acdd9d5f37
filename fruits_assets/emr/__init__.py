"""Everything that concerns AWS EMR: clusters, the step launcher, money, and the stack that they need."""
