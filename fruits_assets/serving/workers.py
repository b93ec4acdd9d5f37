"""The processes that decode photos and run the network, a photo at a time each; one that ends is replaced."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from fruits_assets.serving.worker import FEATURES, LENGTH, READY, REFUSED
from spark_steps.errors import FruitsError, UnusablePhotoError

# Of an answer: the features of any network, or a reason, are shorter.
_MOST_ANSWER_BYTES = 1 << 20
# To import numpy, Pillow and LiteRT and build the network, on a machine that is busy.
_SECONDS_TO_START = 60


class WorkerLostError(Exception):
    """The process ended while it had the photo."""


class TooCostlyError(Exception):
    """The photo was not decoded in time."""


class Worker:
    """One process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, network: bytes, max_pixels: int, seconds: int) -> "Worker":
        """Starts a process and returns it when its network is built.

        Raises:
            FruitsError: It did not start.
        """
        command = [sys.executable, "-P", "-m", "fruits_assets.serving.worker", str(max_pixels), str(seconds)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=_environment(), start_new_session=True
        )
        worker = cls(process)
        try:
            kind, _ = await asyncio.wait_for(worker._exchange(network), _SECONDS_TO_START)
        except (OSError, EOFError, TimeoutError) as error:
            worker.kill()
            raise FruitsError(
                "A process that decodes photos did not start; its last words are above. Check the machine's memory."
            ) from error
        assert kind == READY  # noqa: S101
        return worker

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    async def features(self, photo: bytes, seconds: float) -> NDArray[np.float32]:
        """Returns the features of a photo; after any error but ``UnusablePhotoError`` the process is of no use.

        Raises:
            UnusablePhotoError: The photo cannot be decoded.
            TooCostlyError: It takes longer.
            WorkerLostError: The process ended.
        """
        try:
            kind, answer = await asyncio.wait_for(self._exchange(photo), seconds)
        except TimeoutError as error:
            raise TooCostlyError from error
        except (OSError, EOFError) as error:
            raise WorkerLostError from error
        if kind == REFUSED:
            reason, _, detail = answer.decode("utf-8", "backslashreplace").partition(": ")
            raise UnusablePhotoError(reason, detail)
        if kind != FEATURES or len(answer) % 4:
            raise WorkerLostError
        return np.frombuffer(answer, "<f4")

    async def _exchange(self, message: bytes) -> tuple[bytes, bytes]:
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None  # noqa: S101
        assert reader is not None  # noqa: S101
        writer.write(LENGTH.pack(len(message)))
        writer.write(message)
        await writer.drain()
        head = await reader.readexactly(1 + LENGTH.size)
        (length,) = LENGTH.unpack(head[1:])
        if length > _MOST_ANSWER_BYTES:
            raise EOFError
        return head[:1], await reader.readexactly(length)

    def kill(self) -> None:
        """Ends the process at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Ends the process, which has no photo now."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.kill()
        await self._process.wait()


def _environment() -> dict[str, str]:
    # Neither credentials nor the token: a decoder that was taken over finds none.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FRUITS_"))}
    # One thread: another worker has the other core.
    return inherited | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class WorkerPool:
    """So many processes with the same network.

    Attributes:
        network: The network's fingerprint.
    """

    def __init__(
        self, network: str, flatbuffer: bytes, count: int, max_pixels: int, seconds: int, lost: Callable[[], None]
    ) -> None:
        """Starts nothing yet.

        Args:
            network: The network's fingerprint.
            flatbuffer: The network.
            count: Processes.
            max_pixels: Limit of decoding.
            seconds: The longest that a photo may take.
            lost: Called for each process that ends or has to be ended.
        """
        self.network = network
        self._network, self._max_pixels = flatbuffer, max_pixels
        self._count, self._seconds, self._lost = count, seconds, lost
        # The last one first: its memory is the warmest. None stands for a process that has yet to be started.
        self._idle: asyncio.LifoQueue[Worker | None] = asyncio.LifoQueue()
        self._starting: set[asyncio.Task[None]] = set()

    def _start(self) -> Coroutine[None, None, Worker]:
        return Worker.start(self._network, self._max_pixels, self._seconds)

    async def start(self) -> None:
        """Starts all processes.

        Raises:
            FruitsError: One did not start.
        """
        for worker in await asyncio.gather(*(self._start() for _ in range(self._count))):
            self._idle.put_nowait(worker)

    async def features(self, photo: bytes) -> NDArray[np.float32]:
        """Returns the features of a photo from a process that is idle, or will be.

        Raises:
            UnusablePhotoError: The photo cannot be decoded.
            TooCostlyError: It takes longer than it may.
            WorkerLostError: The process ended with it.
            FruitsError: No process can be started.
        """
        worker = await self._idle.get()
        try:
            if worker is None or worker.has_ended:
                worker = None
                worker = await self._start()
            features = await worker.features(photo, self._seconds)
        except UnusablePhotoError:
            self._idle.put_nowait(worker)
            raise
        except BaseException:
            self._replace(worker)
            raise
        self._idle.put_nowait(worker)
        return features

    def _replace(self, worker: Worker | None) -> None:
        if worker is None:
            self._idle.put_nowait(None)
            return
        worker.kill()
        self._lost()
        task = asyncio.create_task(self._put_new())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _put_new(self) -> None:
        worker = None
        try:
            # The next request tries again.
            with suppress(FruitsError, OSError):
                worker = await self._start()
        finally:
            self._idle.put_nowait(worker)

    async def close(self) -> None:
        """Waits until no process has a photo, and ends them."""
        for _ in range(self._count):
            worker = await self._idle.get()
            if worker is not None:
                await worker.close()
