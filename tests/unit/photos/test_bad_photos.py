"""The reader against what nobody meant to be a photo: pixels or a reason, in bounded memory and time."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.bombs import MOST_BLOCKS, MOST_SCANS
from spark_steps.photos.decoding import decode
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits
from tests.support.photo_corpus import (
    BAD,
    FORMATS,
    GOOD,
    MAX_PIXELS,
    encoded,
    jpeg_of_scans,
    jpeg_with,
    oriented,
    picture,
    png,
    png_chunk,
    tiff_of,
)

REASONS = ("not an image", "truncated", "damaged", "not supported", "decompression bomb")
ORIGINALS = [encoded(picture(64, 48), file_format) for file_format in FORMATS] + [
    encoded(picture(64, 48), "JPEG", progressive=True),
    encoded(picture(64, 48).convert("CMYK"), "JPEG"),
    encoded(picture(64, 48).convert("P"), "GIF", save_all=True, append_images=[picture(64, 48).convert("P")]),
    encoded(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
    encoded(picture(64, 48), "TIFF", compression="tiff_deflate"),
    tiff_of(np.asarray(picture(64, 48)) / 255, 2, deflated=True, planes=True, predictor=3),
    tiff_of(np.asarray(picture(64, 48)).astype(np.uint16), 2, order=">", big=True),
    encoded(picture(64, 48), "JPEG")[:-2],
    oriented(6),
]
thorough = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


def pixels_or_reason(data: bytes) -> str | None:
    """Decodes; returns the reason why not, None where there are pixels, and lets nothing else pass."""
    try:
        photo = decode(data, MAX_PIXELS)
    except UnusablePhotoError as refused:
        assert refused.reason in REASONS
        assert "\n" not in str(refused)
        assert len(str(refused)) < 500
        return refused.reason
    assert photo.pixels.shape == (224, 224, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.width > 0
    assert photo.height > 0
    return None


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_photo_has_pixels(name: str) -> None:
    assert pixels_or_reason(GOOD[name]()) is None


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_has_a_reason(name: str) -> None:
    reason, data = BAD[name]
    assert pixels_or_reason(data()) == reason


@settings(thorough, max_examples=1500)
@given(
    original=st.sampled_from(ORIGINALS),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=12),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_mutated_or_cut_photo_gives_pixels_or_a_reason(
    original: bytes, changes: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(original)
    for place, new in changes:
        start = int(place * (len(data) - len(new)))
        data[start : start + len(new)] = new
    pixels_or_reason(bytes(data[: int(keep * len(data))]))


@settings(thorough, max_examples=200)
@given(
    original=st.sampled_from(ORIGINALS),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    times=st.integers(0, 40),
    other=st.sampled_from(ORIGINALS),
)
def test_a_photo_with_a_part_left_out_repeated_or_of_another_gives_pixels_or_a_reason(
    original: bytes, cut: tuple[float, float], times: int, other: bytes
) -> None:
    start, end = sorted(int(place * len(original)) for place in cut)
    pixels_or_reason(original[:start] + original[start:end] * times + original[end:])
    pixels_or_reason(original[:start] + other[start:])


@settings(thorough, max_examples=200)
@given(head=st.sampled_from([b"", *(original[:12] for original in ORIGINALS)]), rest=st.binary(max_size=2000))
def test_noise_with_the_head_of_a_photo_gives_pixels_or_a_reason(head: bytes, rest: bytes) -> None:
    pixels_or_reason(head + rest)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I", "F", "I;16"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_mode_that_a_format_can_hold_has_pixels(file_format: str, mode: str) -> None:
    image = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)) if mode == "I;16" else None
    try:
        data = encoded(image or picture(40, 30).convert(mode), file_format)
    except (OSError, ValueError):
        return  # The format has no such mode.
    assert pixels_or_reason(data) is None


def test_so_many_blocks_and_scans_are_let_through_and_no_more() -> None:
    own_blocks = 8
    for blocks, reason in ((MOST_BLOCKS - own_blocks, None), (MOST_BLOCKS + 1, "decompression bomb")):
        assert pixels_or_reason(jpeg_with(b"\xff\xfe\x00\x02" * blocks)) == reason
        assert pixels_or_reason(png(9, 9, png_chunk(b"prVt", b"") * blocks)) == reason
    # Progressive grey has some scans of its own.
    assert pixels_or_reason(jpeg_of_scans(MOST_SCANS - 20)) is None
    assert pixels_or_reason(jpeg_of_scans(MOST_SCANS + 1)) == "decompression bomb"


def test_more_scans_than_the_one_that_a_sequential_jpeg_has_are_not_decoded() -> None:
    """So they need not be counted, which would take a twentieth of the time of a phone's photo."""
    plain = encoded(picture(), "JPEG")
    scan = plain[plain.rfind(b"\xff\xda") : -2]
    repeated = decode(plain[:-2] + scan * (MOST_SCANS + 1) + plain[-2:], MAX_PIXELS)
    np.testing.assert_array_equal(repeated.pixels, decode(plain, MAX_PIXELS).pixels)


def test_a_short_film_behind_a_photo_is_no_reason_against_it() -> None:
    """Phones append one; its bytes look like scans by chance."""
    noise = np.random.default_rng(1).bytes(32 * 1024 * 1024)
    assert noise.count(b"\xff\xda") > MOST_SCANS
    assert pixels_or_reason(encoded(picture(), "JPEG") + noise) is None


def test_each_format_is_known_by_its_bytes_whatever_the_file_is_called(tmp_path: Path) -> None:
    for file_format in FORMATS:
        (tmp_path / "photo.jpg").write_bytes(encoded(picture(), file_format))
        (content,) = fetch([(str(tmp_path / "photo.jpg"), 1)], FetchLimits())
        assert isinstance(content, bytes)
        assert decode(content, MAX_PIXELS).format == file_format


def test_a_pipe_or_a_device_in_place_of_a_photo_is_unreadable_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for content in fetch(((str(file), 1) for file in tmp_path.iterdir()), FetchLimits()):
        assert isinstance(content, UnusablePhotoError)
        assert content.reason == "unreadable"
