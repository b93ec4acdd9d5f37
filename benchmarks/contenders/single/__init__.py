"""One photo, cold and warm."""
