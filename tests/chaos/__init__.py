"""Faults on purpose: of S3, of processes, of disks and of the photos, for as many minutes as there are."""
