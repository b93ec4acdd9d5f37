"""Tests of steps that really run on the emulator."""
