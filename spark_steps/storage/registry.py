"""Which backend has the locations of a scheme."""

from spark_steps.storage.backend import Backend
from spark_steps.storage.local import LocalFiles
from spark_steps.storage.pyarrow_backend import PyarrowBackend
from spark_steps.storage.s3 import S3Objects

# By scheme; paths have none.
BACKENDS: dict[str | None, Backend] = {None: LocalFiles(), "s3": S3Objects()}
_OTHERS = PyarrowBackend()


def backend_of(location: str) -> Backend:
    """Returns the backend of a normalised location: that of its scheme, or else pyarrow's own."""
    return BACKENDS.get(_scheme(location), _OTHERS)


def has_backend(location: str) -> bool:
    """Returns whether a location's scheme has a backend of its own, so that a store can be kept there."""
    return _scheme(location) in BACKENDS


def _scheme(location: str) -> str | None:
    scheme, separator, _ = location.partition("://")
    return scheme if separator else None
