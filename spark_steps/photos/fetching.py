"""Fetches the bytes of photos ahead of their use, or the reason why a photo cannot be read."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.photos.limits import FetchLimits
from spark_steps.storage import locations

# One thread gets at most 1/4 of the photos and 1/64 of the bytes that may be read ahead.
_READ_AHEAD, _SMALL_PART = 4, 64


def fetch(photos: Iterable[tuple[str, int]], limits: FetchLimits) -> Iterator[bytes | UnusablePhotoError]:
    """Reads photos ahead of their use, several at a time, in their order and with bounded memory.

    Args:
        photos: Path and listed length of each photo.
        limits: How much is read ahead.

    Yields:
        The bytes of each photo, or an error with the reason why it cannot be read.
    """
    on_the_way: deque[tuple[int, int, Future[list[bytes | UnusablePhotoError]]]] = deque()
    photos_ahead = bytes_ahead = 0
    with ThreadPoolExecutor(limits.photos) as pool:
        for paths, length in _together(photos, limits):
            while on_the_way and (
                photos_ahead + len(paths) > limits.photos or bytes_ahead + length > limits.total_bytes
            ):
                done_photos, done_bytes, done = on_the_way.popleft()
                yield from done.result()
                photos_ahead -= done_photos
                bytes_ahead -= done_bytes
            on_the_way.append((len(paths), length, pool.submit(_read_all, paths, limits.max_bytes)))
            photos_ahead += len(paths)
            bytes_ahead += length
        while on_the_way:
            yield from on_the_way.popleft()[2].result()


def _together(photos: Iterable[tuple[str, int]], limits: FetchLimits) -> Iterator[tuple[list[str], int]]:
    """Yields groups of paths, each for one thread to read one after the other, and the bytes of each group.

    Small files on a local disk are grouped, because waking a thread takes ten times as long as reading a photo. In S3
    every photo is a group of its own.
    """
    paths: list[str] = []
    together = 0
    for path, length in photos:
        paths.append(path)
        together += length
        enough = len(paths) >= limits.photos // _READ_AHEAD or together >= limits.total_bytes // _SMALL_PART
        if enough or locations.is_remote(path):
            yield paths, together
            paths, together = [], 0
    if paths:
        yield paths, together


def _read_all(paths: list[str], max_bytes: int) -> list[bytes | UnusablePhotoError]:
    return [_read(path, max_bytes) for path in paths]


def _read(path: str, max_bytes: int) -> bytes | UnusablePhotoError:
    try:
        data = locations.read_bytes(path, max_bytes + 1)
    except FileNotFoundError:
        return UnusablePhotoError("vanished", "it was listed, and is gone")
    except (OSError, FruitsError) as error:
        return UnusablePhotoError("unreadable", str(error))
    if not data:
        return UnusablePhotoError("empty", "the file has no bytes")
    if len(data) > max_bytes:
        return UnusablePhotoError("too large", f"it has more than the {max_bytes} bytes that are read")
    return data
