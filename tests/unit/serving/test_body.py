"""Reading a body: within its limits, and the photo in it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fruits_assets.serving.admission import BusyError, Memory
from fruits_assets.serving.body import (
    MalformedError,
    TooLargeError,
    TooSlowError,
    declared_length,
    photo_in,
    read_body,
)

FORM = "multipart/form-data; boundary=edge"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def never() -> AsyncIterator[bytes]:
    yield b"a"
    await asyncio.Event().wait()


def read(
    parts: AsyncIterator[bytes], declared: int | None = None, most: int = 10, memory: Memory | None = None
) -> bytes:
    with (memory or Memory(100)).share() as share:
        return asyncio.run(read_body(parts, declared, most, 0.05, share))


def part(content: bytes, disposition: str = 'form-data; name="photo"') -> bytes:
    return f"--edge\r\ncontent-disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


def test_a_body_is_read_to_its_end() -> None:
    assert read(chunks(b"12345", b"", b"67890"), 10) == b"1234567890"


def test_a_body_that_is_too_long_is_refused_by_its_header_or_by_its_bytes() -> None:
    with pytest.raises(TooLargeError):
        read(never(), declared=11)
    with pytest.raises(TooLargeError):
        read(chunks(b"12345", b"678901"))


def test_a_body_that_does_not_end_is_given_up() -> None:
    with pytest.raises(TooSlowError):
        read(never())


def test_a_body_for_which_there_is_no_memory_is_refused_and_gives_back_what_it_had() -> None:
    memory = Memory(8)
    with memory.share() as other:
        other.grow(4)
        with pytest.raises(BusyError):
            read(chunks(b"123", b"456"), memory=memory)
        assert memory.held == 4
    assert memory.held == 0


def test_one_body_alone_may_take_more_than_the_memory() -> None:
    assert len(read(chunks(b"12345", b"67890"), memory=Memory(3))) == 10


@pytest.mark.parametrize(("text", "length"), [("12", 12), (None, None), ("-1", None), ("1e3", None), ("²", None)])
def test_a_length_is_a_whole_number(text: str | None, length: int | None) -> None:
    assert declared_length(text) == length


@pytest.mark.parametrize("kind", ["", "image/jpeg", "application/json", "nonsense", "multipart/mixed; boundary=edge"])
def test_a_body_of_any_other_type_is_the_photo(kind: str) -> None:
    assert photo_in(b"photo", kind) == b"photo"


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="photo"',
        "form-data; name=photo",
        'form-data; name="other"; filename="a b.jpg"',
        "form-data; name=other; filename*=UTF-8''%C3%A9.jpg",
        'form-data; name="photo"; filename=""',
    ],
)
def test_the_photo_of_a_form_is_its_file(disposition: str) -> None:
    body = part(b"a note", 'form-data; name="note"') + part(b"ph\r\n--oto", disposition) + b"--edge--\r\n"
    assert photo_in(body, FORM) == b"ph\r\n--oto"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", "", "There is no photo"),
        (part(b"") + b"--edge--", FORM, "There is no photo"),
        (part(b"x", 'form-data; name="note"') + b"--edge--", FORM, "has 0 files"),
        (part(b"x") * 2 + b"--edge--", FORM, "has 2 files"),
        (part(b"x") * 17 + b"--edge--", FORM, "more than 16 parts"),
        (part(b"x"), "multipart/form-data", "no boundary"),
        (b"no form", FORM, "malformed"),
    ],
)
def test_a_body_without_one_photo_is_refused(body: bytes, kind: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        photo_in(body, kind)
