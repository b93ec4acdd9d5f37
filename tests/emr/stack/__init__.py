"""Tests of the stack, of what is deployed into it, and of what its roles may do."""
