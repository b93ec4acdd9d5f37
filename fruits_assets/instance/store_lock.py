"""One process at a time does something to a store: a lock on a file, or on an object in S3."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fruits_assets.aws.s3_lock import held
from spark_steps.errors import FruitsError
from spark_steps.storage import locations, s3_address, s3_client


@contextmanager
def one_at_a_time(location: str, what: str, patience: float) -> Iterator[Callable[[], None]]:
    """Holds off other processes; what is yielded raises a FruitsError if the lock was lost, which only S3 knows.

    Args:
        location: Where the lock lies, a normalised location.
        what: What the other process does, for the message: "erases photos of results".
        patience: Seconds to wait for another process.

    Raises:
        FruitsError: Another process holds the lock for longer than that.
    """
    if s3_address.is_s3(location):
        with held(s3_client.client(), *s3_address.bucket_and_key(location), patience) as check_held:
            yield check_held
        return
    locations.create_directory(str(Path(location).parent))
    lock = FileLock(location, timeout=patience)
    try:
        lock.acquire()
    except Timeout as error:
        raise FruitsError(f"Another process {what}. Wait until it has ended.") from error
    try:
        yield lambda: None
    finally:
        lock.release()
