"""The numbers to reach, and whether these results reach them."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.reporting.results import Results

_Measured = tuple[str, bool] | None


@dataclass(frozen=True)
class Target:
    """One number to reach.

    Attributes:
        what: What is measured.
        wanted: The number.
        measured: What came out; None where it was not measured.
        met: Whether that is enough.
    """

    what: str
    wanted: str
    measured: str | None
    met: bool


def judge(results: Results) -> list[Target]:
    """Returns all targets with what these results say of them."""
    targets = []
    for what, wanted, measure in _TARGETS:
        measured = measure(results)
        targets.append(Target(what, wanted, *(measured or (None, False))))
    return targets


def _times_as_fast(
    discipline: str, other: str, least: float, size: int, of: str | None = None
) -> Callable[[Results], _Measured]:
    """Compares at the wanted size, else at the largest one at which both were run, which is then told."""

    def measure(results: Results) -> _Measured:
        sizes = sorted(results.sizes(discipline), key=lambda one: (one == size, one), reverse=True)
        for at in sizes:
            ours, theirs = results.figure(f"{discipline}/ours", at, of), results.figure(f"{discipline}/{other}", at, of)
            if ours and theirs:
                ratio = theirs.median / ours.median
                note = "" if at == size else f" (at {at:,})"
                return f"{ratio:.2f}x{note}", ratio >= least
        return None

    return measure


def _phone(results: Results) -> _Measured:
    speed = _times_as_fast("phone", "pool_full", 2.0, 1500)(results)
    cosines = [run.facts["cosine_least"] for run in results.runs if run.case == "phone/pool_full"]
    if speed is None or not cosines:
        return None
    return f"{speed[0]}, cosine at least {min(cosines):.5f}", speed[1] and min(cosines) >= 0.999


def _memory(results: Results) -> _Measured:
    sizes = results.sizes("features")
    if not sizes:
        return None
    workers = results.memory("features/ours", sizes[-1], workers=True)
    everything = results.memory("features/ours", sizes[-1])
    if workers is None or everything is None:
        return None
    return f"{workers / 1e9:.2f} GB, {everything / 1e9:.2f} GB", workers < 0.6e9 and everything < 2e9


def _growth(results: Results) -> _Measured:
    few, many = results.figure("features/ours", 10_000), results.figure("features/ours", 50_000)
    if few is None or many is None:
        return None
    ratio = (many.median / 50_000) / (few.median / 10_000)
    return f"{ratio:.2f}x the time a photo", ratio <= 1.1


def _single(results: Results) -> _Measured:
    ours = results.figure("single/ours", 1, "cold_seconds")
    return (f"{ours.median:.2f} s", ours.median < 2.0) if ours else None


def _ratio(
    what: str, discipline: str, other: str, least: float, size: int, of: str | None = None
) -> tuple[str, str, Callable[[Results], _Measured]]:
    return what, f">= {least}x", _times_as_fast(discipline, other, least, size, of)


_TARGETS = [
    _ratio("whole pipeline against the notebook's whole flow, 4,000 photos", "pipeline", "notebook", 20, 4000),
    _ratio(
        "mobilenet_features against the notebook's way, cold to cold, 4,000 photos", "features", "notebook", 6, 4000
    ),
    _ratio("the same against a process pool with the same network, 20,000 photos", "features", "pool", 0.85, 20_000),
    _ratio("the same against Daft with the same network, 20,000 photos", "features", "daft", 1.0, 20_000),
    _ratio("the same against Ray Data with the same network, 20,000 photos", "features", "ray", 1.0, 20_000),
    ("12-megapixel photos against a process pool with full decoding", ">= 2x, cosine >= 0.999", _phone),
    _ratio("PCA fit against spark.ml, 100,000 x 1280, k = 350", "pca", "spark_ml", 8, 100_000, "fit_seconds"),
    _ratio("PCA fit against pyarrow and numpy alone, the same", "pca", "numpy", 0.6, 100_000, "fit_seconds"),
    ("a photo to its nearest labels, cold process", "< 2 s", _single),
    ("memory of the Python workers together, and of everything", "< 0.6 GB, < 2 GB", _memory),
    ("time a photo at 50,000 against 10,000", "<= 1.1x", _growth),
]
