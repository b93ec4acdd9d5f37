"""The commands for runs on AWS: ``deploy``, ``doctor``, ``estimate`` and ``clusters``, a module each."""
