"""One photo to its nearest labels: the command ``fruits identify``, then the same with all that it loads kept."""

from collections.abc import Callable

from benchmarks.harness.job import Job, read_job
from benchmarks.harness.repeat import tell_cold_and_warm
from fruits_assets.commands.cli import main as fruits
from spark_steps.errors import FruitsError

# Between a photo and itself: its features may differ in the last digits.
_SAME = 0.01


def _command(job: Job) -> None:
    fruits(["identify", job.data, "--store", job.store], standalone_mode=False)


def _kept(job: Job) -> Callable[[], None]:
    # Here: the command imports them in its own time.
    from spark_steps.photos.limits import DecodeLimits
    from spark_steps.queries.comparable import comparable
    from spark_steps.queries.identify import Reducer
    from spark_steps.queries.neighbours import find_neighbours
    from spark_steps.store.store import Store

    store, limits = Store(job.store), DecodeLimits()
    reducer = Reducer(store)

    def answer() -> None:
        reduced = reducer.reduce(job.data, limits).reduced
        (near,) = find_neighbours(comparable(store, reducer.pca).files, reduced[None], 10)
        # The photo is in the store: another answer would be wrong, and no time of it counts.
        if near.neighbours[0].distance > _SAME:
            raise FruitsError(f"{job.data} is not found in the store.")

    return answer


def main() -> None:
    """Tells the time to the first labels, and the time of the next."""
    job = read_job()
    tell_cold_and_warm(job, lambda: _command(job), lambda: _kept(job))


if __name__ == "__main__":
    main()
