"""What happens without each permission of the stack: ``python -m tests.permissions`` fills docs/permissions.md."""
