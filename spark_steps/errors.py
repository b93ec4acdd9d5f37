"""What goes wrong: in a way that the person at the keyboard can mend, or with one photo alone."""


class FruitsError(Exception):
    """A problem whose message names the thing and the remedy; shown as it is, without a stack trace."""


class CalledWronglyError(FruitsError):
    """A value of an option or a setting that is out of range or malformed: to try again cannot help."""


class UnusablePhotoError(Exception):
    """Why a photo has no features: a reason, of a few kinds, and what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        # Pillow's messages may hold an object's address, which would make two runs differ.
        self.detail = " ".join(detail.split(" <_io.BytesIO", 1)[0].split())
        super().__init__(f"{reason}: {self.detail}")
