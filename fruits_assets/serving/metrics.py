"""What Prometheus reads of the server: counts, times and versions, and no name of a photo or a label."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

# The goal is 0.3 s; a request that waits in a full queue takes seconds.
_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)
_PREFIX = "fruits_serve"


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests that were answered.", ["status"])
        self.seconds = Histogram(
            f"{_PREFIX}_seconds", "From a request to its answer.", buckets=_SECONDS, registry=self.registry
        )
        self.bytes = self._counter("received_bytes", "Bytes of bodies.")
        self.workers_lost = self._counter("workers_lost", "Processes that ended while they had a photo, or were ended.")
        self.erased = self._counter("erased_withheld", "Searches that found a photo which had been erased since.")
        self.loads = self._counter(
            "store_loads", "Versions of the store that were loaded, or could not be.", ["outcome"]
        )
        self.loaded_at = self._gauge("store_loaded_timestamp_seconds", "When the version that answers was loaded.")
        self.outdated = self._gauge("store_outdated", "1 while a newer version of the store does not answer yet.")
        self.broken = self._gauge("store_broken", "1 while the newest version of the store cannot be loaded.")
        self.exact = self._gauge("search_exact", "1 where the search is exact, 0 where it is by an index.")
        self.recall = self._gauge("search_recall", "Share of what there is to find that is found, on a sample.", ["of"])

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Adds a number that is read whenever Prometheus asks."""
        self._gauge(name, about).set_function(value)

    def as_text(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, labels: tuple[str, ...] | list[str] = ()) -> Counter:
        return Counter(f"{_PREFIX}_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, labels: tuple[str, ...] | list[str] = ()) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", about, labels, registry=self.registry)
