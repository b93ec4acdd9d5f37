"""What a person at a terminal sees besides a command's own output.

``interrupts`` is Ctrl-C; ``problems`` turns errors into a message and an exit code; ``progress`` draws the bar.
"""
