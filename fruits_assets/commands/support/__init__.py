"""Helpers of the commands: options, opening a store, locations, the report's text, and questions to the user."""
