"""Bytes of photos: in order, no more than asked for, or the reason why there are none."""

from pathlib import Path

import pytest

from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import FetchLimits


@pytest.mark.parametrize("ahead", [1, 4, 16, 256])
def test_photos_are_fetched_in_their_order_and_a_vanished_one_says_so(tmp_path: Path, ahead: int) -> None:
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"%d" % number)
    (tmp_path / "7.jpg").unlink()
    contents = list(fetch(((str(tmp_path / f"{n}.jpg"), 2) for n in range(30)), FetchLimits(photos=ahead)))
    assert isinstance(contents[7], UnusablePhotoError)
    assert contents[7].reason == "vanished"
    assert [c for n, c in enumerate(contents) if n != 7] == [b"%d" % n for n in range(30) if n != 7]


def test_no_more_is_read_ahead_than_the_limits_allow(tmp_path: Path) -> None:
    asked: list[int] = []

    def photos() -> object:
        for number in range(20):
            asked.append(number)
            yield str(tmp_path / f"{number}.jpg"), 400

    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * 400)
    contents = fetch(photos(), FetchLimits(photos=8, total_bytes=1000))  # type: ignore[arg-type]
    next(contents)
    # Two fit into 1000 bytes; the third has been asked for, and waits for room.
    assert asked == [0, 1, 2]


def test_a_photo_that_has_grown_above_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 100)
    (content,) = fetch([(str(tmp_path / "a.jpg"), 5)], FetchLimits(max_bytes=99))
    assert isinstance(content, UnusablePhotoError)
    assert content.reason == "too large"
