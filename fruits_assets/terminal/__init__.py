"""Output at a terminal besides a command's own: interrupts, error messages, and progress.

``interrupts`` handles Ctrl-C; ``problems`` turns errors into a message and an exit code; ``progress`` draws the bar;
``streams`` opens closed standard streams.
"""
