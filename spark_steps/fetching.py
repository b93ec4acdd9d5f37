"""Fetch the bytes of photos ahead of their use, or say why there are none."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from spark_steps import storage
from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.limits import FetchLimits


def fetch(photos: Iterable[tuple[str, int]], limits: FetchLimits) -> Iterator[bytes | UnusablePhotoError]:
    """Reads photos ahead of their use, several at a time, in their order and with bounded memory.

    Args:
        photos: Path and listed length of each.
        limits: How many at a time.

    Yields:
        The bytes of each photo, or why there are none.
    """
    on_the_way: deque[tuple[int, Future[bytes | UnusablePhotoError]]] = deque()
    bytes_ahead = 0
    with ThreadPoolExecutor(limits.photos) as pool:
        for path, length in photos:
            while on_the_way and (len(on_the_way) >= limits.photos or bytes_ahead + length > limits.total_bytes):
                done_length, done = on_the_way.popleft()
                yield done.result()
                bytes_ahead -= done_length
            on_the_way.append((length, pool.submit(_read, path, limits.max_bytes)))
            bytes_ahead += length
        while on_the_way:
            yield on_the_way.popleft()[1].result()


def _read(path: str, max_bytes: int) -> bytes | UnusablePhotoError:
    try:
        data = storage.read_bytes(path, max_bytes + 1)
    except FileNotFoundError:
        return UnusablePhotoError("vanished", "it was listed, and is gone")
    except (OSError, FruitsError) as error:
        return UnusablePhotoError("unreadable", str(error))
    if not data:
        return UnusablePhotoError("empty", "the file has no bytes")
    if len(data) > max_bytes:
        return UnusablePhotoError("too large", f"it has more than the {max_bytes} bytes that are read")
    return data
