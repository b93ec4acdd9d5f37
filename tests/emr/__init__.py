"""Tests of the stack, and of runs on an emulator of EMR that really runs steps."""
