"""Errors: those that the user can fix, and those of a single photo."""

from collections.abc import Iterator


class FruitsError(Exception):
    """A problem whose message names its subject and the remedy; it is shown without a stack trace."""


class CalledWronglyError(FruitsError):
    """A value of an option or a setting that is out of range or malformed: a retry cannot help."""


class UnusablePhotoError(Exception):
    """A photo that cannot be used: the reason, one of a few words, and the details."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        # Pillow's messages may contain the address of an object. Cut it, so that two runs give the same message.
        self.detail = " ".join(detail.split(" <_io.BytesIO", 1)[0].split())
        super().__init__(f"{reason}: {self.detail}")


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and what it was raised from, the outermost first; not an error during whose handling it came."""
    while error is not None:
        yield error
        error = error.__cause__


def own_error(error: BaseException) -> FruitsError | None:
    """Returns the outermost error of the platform in a chain: its sentence is shown, and not that of its cause."""
    return next((one for one in chain_of(error) if isinstance(one, FruitsError)), None)
