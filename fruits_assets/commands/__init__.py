"""The commands of ``fruits``, imported when they are called: see ``fruits_assets.commands.cli``."""
