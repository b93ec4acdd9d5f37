"""What goes wrong in a way that the person at the keyboard can mend."""


class FruitsError(Exception):
    """A problem whose message names the thing and the remedy; shown as it is, without a stack trace."""
