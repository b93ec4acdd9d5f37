"""The photo in a request's body: read within limits of bytes and time, raw or as a part of a form, in memory alone.

Web frameworks write the files of a form to the disk. Here no byte of a photo is written anywhere.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message

from fruits_assets.serving.admission import Share

# A form has boundaries and headers besides the photo.
FORM_BYTES = 64 * 1024
_MOST_PARTS = 16


class TooLargeError(Exception):
    """The body is larger than a photo may be."""


class TooSlowError(Exception):
    """The body did not arrive in time."""


class MalformedError(Exception):
    """The body has no photo, or is no form; the message says what to send."""


async def read_body(
    chunks: AsyncIterator[bytes], declared: int | None, most_bytes: int, seconds: float, share: Share
) -> bytes:
    """Reads a body, at most so many bytes and so many seconds.

    Args:
        chunks: The body as it arrives.
        declared: Its length as the request declares it; None where it does not.
        most_bytes: The most bytes. A body that is declared longer is refused before it is read.
        seconds: The longest that it may take to arrive.
        share: The memory that it takes.

    Raises:
        TooLargeError: It is longer.
        TooSlowError: It takes longer.
        BusyError: Other requests hold the memory.
    """
    if declared is not None and declared > most_bytes:
        raise TooLargeError
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                if len(body) + len(chunk) > most_bytes:
                    raise TooLargeError
                share.grow(len(chunk))
                body += chunk
    except TimeoutError as error:
        raise TooSlowError from error
    return bytes(body)


def declared_length(text: str | None) -> int | None:
    """Returns the value of a header Content-Length; None where there is none, or it is no number."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def photo_in(body: bytes, content_type: str) -> bytes:
    """Returns the photo of a body: a part of a form, or the whole body of any other type.

    Args:
        body: The body.
        content_type: The request's header Content-Type.

    Raises:
        MalformedError: There is no photo, or more than one.
    """
    header = Message()
    header["content-type"] = content_type
    photo = body
    if header.get_content_type() == "multipart/form-data":
        photo = _photo_of_form(body, str(header.get_param("boundary", "")))
    if not photo:
        raise MalformedError("There is no photo in the request: send its bytes as the body, or as a file of a form.")
    return photo


@dataclass
class _Form:
    """What the parser calls, part after part; a part counts if its header names a file, or the field ``photo``."""

    photos: list[bytes] = field(default_factory=list)
    parts: int = 0
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _data: bytearray = field(default_factory=bytearray)
    _is_photo: bool = False

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise MalformedError(f"The form has more than {_MOST_PARTS} parts. Send one photo.")
        self._data, self._is_photo = bytearray(), False

    def on_header_begin(self) -> None:
        self._name, self._value = bytearray(), bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            header = Message()
            header["content-disposition"] = self._value.decode("latin-1").replace("\r", " ").replace("\n", " ")
            names = (header.get_param(name, header="content-disposition") for name in ("filename", "name"))
            filename, name = names
            self._is_photo = filename is not None or name == "photo"

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_photo:
            self._data += data[start:end]

    def on_part_end(self) -> None:
        if self._is_photo:
            self.photos.append(bytes(self._data))


def _photo_of_form(body: bytes, boundary: str) -> bytes:
    # Imported here: most requests send the bytes as they are.
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    if not boundary:
        raise MalformedError("The form's header Content-Type has no boundary.")
    form = _Form()
    names = [name for name in dir(form) if name.startswith("on_")]
    try:
        parser = MultipartParser(boundary.encode("latin-1"), {name: getattr(form, name) for name in names})  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeError) as error:
        raise MalformedError(f"The form is malformed: {error}") from error
    if len(form.photos) != 1:
        raise MalformedError(
            f"The form has {len(form.photos)} files. Send one photo, such as by: curl -F photo=@photo.jpg"
        )
    return form.photos[0]
