"""Which backend has the locations of a scheme."""

from spark_steps.errors import FruitsError
from spark_steps.storage.backend import Backend
from spark_steps.storage.local import LocalFiles
from spark_steps.storage.s3 import S3Objects

# By scheme; paths have none.
BACKENDS: dict[str | None, Backend] = {None: LocalFiles(), "s3": S3Objects()}


# What is said of every other location. pyarrow would read some of these kinds, but where a machine has no credentials
# for them it tries for minutes.
REMEDY = "Give a path, or s3://bucket/prefix; nothing else is read."


def backend_of(location: str) -> Backend:
    """Returns the backend of a location's scheme.

    Raises:
        FruitsError: There is none.
    """
    if not has_backend(location):
        raise FruitsError(f"{location} is neither a folder nor in S3. {REMEDY}")
    return BACKENDS[_scheme(location)]


def has_backend(location: str) -> bool:
    """Returns whether anything can be read or written at locations of this scheme."""
    return _scheme(location) in BACKENDS


def _scheme(location: str) -> str | None:
    scheme, separator, _ = location.partition("://")
    return scheme if separator else None
