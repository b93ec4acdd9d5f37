"""Answers photos from a store in memory, and loads newer versions of the store beside it."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruits_assets.serving.admission import Memory, Queue
from fruits_assets.serving.answers import Readiness, as_answer
from fruits_assets.serving.metrics import Metrics
from fruits_assets.serving.served import ServedStore, Step, StoreVersion, Watch, load, version_of
from fruits_assets.serving.workers import WorkerLostError, WorkerPool
from spark_steps.errors import FruitsError
from spark_steps.photos.tombstones import erased_among
from spark_steps.store.store import Store

Report = Callable[[str], None]
_STARTING = "The store is being loaded. Ask again in some seconds."
_OUTDATED = "A newer version of the store is being loaded, or waits for the run that makes it to end."
_BROKEN = (
    "The newest version of the store cannot be loaded, and answers are of the version before it. The reason is in the "
    "server's log."
)


@dataclass(frozen=True)
class ServeLimits:
    """What the server takes in and keeps.

    Attributes:
        workers: Processes that decode, and so requests at work.
        waiting: Requests that wait, besides.
        seconds: The longest that a body may take to arrive, a request may wait, and a photo may take.
        max_bytes: Length of the largest photo.
        memory_bytes: Bytes of bodies that are held at a time.
        max_pixels: Limit of decoding.
        refresh_seconds: Between two looks at the store.
        exact_up_to: Number of photos above which an approximate index is built.
    """

    workers: int
    waiting: int
    seconds: int
    max_bytes: int
    memory_bytes: int
    max_pixels: int
    refresh_seconds: float
    exact_up_to: int


@dataclass(frozen=True)
class Asked:
    """What a request wants to know.

    Attributes:
        count: Neighbours.
        reduced: Whether the answer has the photo's numbers.
        paths: Whether it has paths of photos.
    """

    count: int = 10
    reduced: bool = False
    paths: bool = False


@dataclass(frozen=True)
class _State:
    served: ServedStore
    pool: WorkerPool


class NotReadyError(Exception):
    """The store is not loaded yet."""


class Service:
    """One store that answers.

    Attributes:
        limits: What is taken in.
        metrics: What happened.
        queue: Requests at work and waiting.
        memory: Bytes of bodies.
    """

    def __init__(self, store: Store, limits: ServeLimits, report: Report) -> None:
        """Loads nothing yet.

        Args:
            store: The store.
            limits: What is taken in.
            report: Takes lines for the server's log, which name no photo.
        """
        self.limits, self.metrics, self._store, self._report = limits, Metrics(), store, report
        self.queue, self.memory = Queue(limits.workers, limits.waiting), Memory(limits.memory_bytes)
        self._state: _State | None = None
        self._watch, self._problem = Watch(), ""
        self._searches = ThreadPoolExecutor(limits.workers, "search")
        self._closing: set[asyncio.Task[None]] = set()
        watch = self.metrics.watch
        watch("at_work", "Requests at work.", lambda: self.queue.at_work)
        watch("waiting", "Requests that wait.", lambda: self.queue.waiting)
        watch("held_bytes", "Bytes of bodies in memory.", lambda: self.memory.held)
        watch("photos", "Photos that are compared with.", lambda: self._state.served.index.photos if self._state else 0)

    async def identify(self, photo: bytes, asked: Asked) -> dict[str, Any]:
        """Returns the answer for a photo.

        Raises:
            NotReadyError: The store is not loaded yet.
            BusyError: Too many requests wait already.
            UnusablePhotoError: The photo cannot be decoded.
            TooCostlyError: It takes longer than it may.
            WorkerLostError: The process that decoded it ended.
            FruitsError: It cannot be known which photos were erased.
        """
        if self._state is None:
            raise NotReadyError
        async with self.queue.place(self.limits.seconds):
            # Not before: while the request waited, another version may have taken the place of this one.
            state = self._state
            features = await state.pool.features(photo)
            search = asyncio.get_running_loop().run_in_executor
            return await search(self._searches, self._answer, state.served, photo, features, asked)

    def _answer(self, served: ServedStore, photo: bytes, features: NDArray[np.float32], asked: Asked) -> dict[str, Any]:
        if features.shape != served.pca.mean.shape:
            raise WorkerLostError
        if not np.isfinite(features).all():
            raise FruitsError("The network gives numbers that are not finite: its weights are broken most likely.")
        reduced = served.pca.project(features[np.newaxis])[0]
        near = served.index.find(reduced, asked.count, self._erased_among)
        image_id = hashlib.sha256(photo).hexdigest()
        return as_answer(image_id, near, reduced.tolist(), served, reduced=asked.reduced, paths=asked.paths)

    def _erased_among(self, image_ids: Sequence[str]) -> Collection[str]:
        # For each answer anew: whatever is kept would be of the time before an erasure.
        erased = erased_among(self._store.tombstones, image_ids)
        if erased:
            self.metrics.erased.inc()
        return erased

    @property
    def is_ready(self) -> bool:
        """Whether photos are answered."""
        return self._state is not None

    def readiness(self) -> Readiness:
        """Returns whether photos are answered, and from which version of the store."""
        if (state := self._state) is None:
            return Readiness(ready=False, problem=_STARTING)
        version = state.served.version
        return Readiness(
            ready=True, pca_model=version.pca_model, tables=dict(version.tables), problem=self._problem or None
        )

    async def keep_fresh(self) -> None:
        """Loads the store, and from then on each newer version, for ever; the one that answers stays until then.

        Raises:
            FruitsError: The store cannot be loaded at all.
        """
        await self._load_newest(await asyncio.to_thread(version_of, self._store), Step.LOAD)
        while True:
            await asyncio.sleep(self.limits.refresh_seconds)
            await self._look()

    async def _look(self) -> None:
        assert self._state is not None  # noqa: S101
        served, newest = self._state.served, None
        try:
            newest = await asyncio.to_thread(version_of, self._store)
            step = self._watch.next_step(served.version, newest, time.monotonic())
            if newest == served.version:
                self._is_current()
            elif step is Step.RELABEL:
                self._state = replace(self._state, served=served.at(newest))
                self._is_current()
            elif step is not Step.NOTHING:
                await self._load_newest(newest, step)
        # Whatever is wrong with a new version, the one before goes on answering.
        except Exception as error:
            self._is_broken(newest, error)

    async def _load_newest(self, newest: StoreVersion, step: Step) -> None:
        if self._state is not None and self._watch.outdated_since is None:
            self._watch, self._problem = replace(self._watch, outdated_since=time.monotonic()), _OUTDATED
            self.metrics.outdated.set(1)
        whole_only = step is Step.LOAD_IF_WHOLE
        loaded = await asyncio.to_thread(load, self._store, self.limits.exact_up_to, whole_only=whole_only)
        if loaded is not None:
            await self._switch(loaded)
            self._is_current()

    async def _switch(self, loaded: ServedStore) -> None:
        network, before = loaded.pca.features_model, self._state
        if before is not None and before.pool.network == network:
            self._state = replace(before, served=loaded)
        else:
            limits, lost = self.limits, self.metrics.workers_lost.inc
            pool = WorkerPool(network, loaded.network, limits.workers, limits.max_pixels, limits.seconds, lost)
            await pool.start()
            self._state = _State(loaded, pool)
            if before is not None:
                self._close_later(before.pool)
        exact, metrics, index = loaded.recall is None, self.metrics, loaded.index
        metrics.loads.labels("loaded").inc()
        metrics.loaded_at.set_to_current_time()
        metrics.exact.set(exact)
        if loaded.recall is not None:
            for of in ("nearest", "ten_nearest", "other_label"):
                metrics.recall.labels(of).set(getattr(loaded.recall, of))
        search = "exact search" if loaded.recall is None else f"an index that finds {loaded.recall.ten_nearest:.1%}"
        self._report(f"Loaded {index.photos:,} photos of PCA model {loaded.pca.version}: {search}.")

    def _close_later(self, pool: WorkerPool) -> None:
        task = asyncio.create_task(pool.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _is_current(self) -> None:
        self._watch, self._problem = Watch(), ""
        self.metrics.outdated.set(0)
        self.metrics.broken.set(0)

    def _is_broken(self, newest: StoreVersion | None, error: Exception) -> None:
        self._watch, self._problem = replace(self._watch, broken=newest), _BROKEN
        self.metrics.loads.labels("failed").inc()
        self.metrics.outdated.set(1)
        self.metrics.broken.set(1)
        reason = str(error) if isinstance(error, FruitsError) else f"{type(error).__name__}: {error}"
        self._report(f"The newest version of the store cannot be loaded: {reason}")

    async def close(self) -> None:
        """Ends the processes, when no request needs them any more."""
        if self._state is not None:
            await self._state.pool.close()
        await asyncio.gather(*self._closing)
        self._searches.shutdown()
