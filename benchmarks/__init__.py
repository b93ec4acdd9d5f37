"""The platform beside the notebook it replaces, its rivals, and the limits of the hardware, on the same photos."""
