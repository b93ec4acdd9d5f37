"""Tests of the emulator of EMR itself."""
