"""Tests of the UI in a browser, and of the command at a terminal."""
