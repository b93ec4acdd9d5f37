"""How much is taken in at a time: requests at work, requests that wait, and bytes of photos held in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class BusyError(Exception):
    """There is no room for the request now; a later one may find some."""


class Queue:
    """Lets so many requests work at the same time, and so many more wait.

    Attributes:
        at_work: Requests at work now.
    """

    def __init__(self, at_work: int, waiting: int) -> None:
        self._most, self._inside = at_work + waiting, 0
        self._places = asyncio.Semaphore(at_work)
        self.at_work = 0

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._inside - self.at_work

    @asynccontextmanager
    async def place(self, seconds: float) -> AsyncIterator[None]:
        """Holds a place while the block runs.

        Args:
            seconds: The longest that a request waits.

        Raises:
            BusyError: As many requests as may wait are waiting already, or none has ended in time.
        """
        if self._inside >= self._most:
            raise BusyError
        self._inside += 1
        try:
            await self._acquire(seconds)
            self.at_work += 1
            try:
                yield
            finally:
                self.at_work -= 1
                self._places.release()
        finally:
            self._inside -= 1

    async def _acquire(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise BusyError from error


class Memory:
    """Counts the bytes of bodies that are held, and lets no more in than there may be.

    Attributes:
        most: The most bytes.
        held: Bytes held now.
    """

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Gives the bytes of one request, and has them back when the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held


class Share:
    """The bytes of one request."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0

    def grow(self, count: int) -> None:
        """Adds bytes; a request that is alone may hold more than the most.

        Raises:
            BusyError: Other requests hold too many.
        """
        others = self._memory.held - self.held
        if others and self._memory.held + count > self._memory.most:
            raise BusyError
        self.held += count
        self._memory.held += count
