"""The numbers to reach, and whether these results reach them."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.cases import ADDED
from benchmarks.reporting.results import Results

_Measured = tuple[str, bool] | None
_Measure = Callable[[Results], _Measured]
_RIVALS = {"pool": "a process pool", "daft": "Daft", "ray": "Ray Data"}
_FEW_FOLDERS, _MANY_FOLDERS = 18, 2000


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
    """Returns all targets with what these results say of them; each is judged at its own size alone."""
    return [Target(what, wanted, *(measure(results) or (None, False))) for what, wanted, measure in _TARGETS]


def _ratio(
    what: str, discipline: str, other: str, least: float, size: int, of: str | None = None
) -> tuple[str, str, _Measure]:
    def measure(results: Results) -> _Measured:
        ratio = results.ratio(f"{discipline}/ours", f"{discipline}/{other}", size, of)
        return None if ratio is None else (f"{ratio.told(2)} times as fast", ratio.median >= least)

    return what, f">= {least} times as fast", measure


def _features(size: int, other: str, least: float) -> tuple[str, str, _Measure]:
    return _ratio(f"features of {size:,} photos, against {_RIVALS[other]}", "features", other, least, size)


def _seconds(case: str, size: int, most: float, of: str | None = None) -> _Measure:
    def measure(results: Results) -> _Measured:
        seconds = results.figure(case, size, of)
        return None if seconds is None else (f"{seconds.told()} s", seconds.median < most)

    return measure


def _nothing_new(results: Results) -> _Measured:
    seconds = _seconds("everyday/nothing", 400, 3)(results)
    java = any(run.facts["java"] for run in results.of("everyday/nothing", 400))
    return seconds and (f"{seconds[0]}, {'Java was' if java else 'no Java'} started", seconds[1] and not java)


def _added(results: Results) -> _Measured:
    seconds = _seconds("everyday/added", 3000, 12)(results)
    rows = {run.facts["rows_written"]["mobilenet_features"] for run in results.of("everyday/added", 3000)}
    told = " or ".join(map(str, sorted(rows)))
    return seconds and (f"{seconds[0]}, {told} rows of features written", seconds[1] and rows == {ADDED})


def _phone(results: Results) -> _Measured:
    speed = results.ratio("phone/ours", "phone/pool_full", 1500)
    if speed is None:
        return None
    cosine = min(run.facts["cosine_least"] for run in results.of("phone/pool_full", 1500))
    return f"{speed.told(2)} times as fast, cosine at least {cosine:.5f}", speed.median >= 2 and cosine >= 0.999


def _identify(results: Results) -> _Measured:
    case, size = "identify/ours", 1_000_000
    seconds, memory = results.figure(case, size, "cold_seconds"), results.figure(case, size, "resident_bytes")
    # There is none where there is no /proc.
    if seconds is None or memory is None or not memory.least:
        return None
    return f"{seconds.told()} s, {memory.median / 1e9:.2f} GB", seconds.median < 2 and memory.most < 0.5e9


def _folder(results: Results) -> _Measured:
    few, many = (results.figure("folders/ours", count) for count in (_FEW_FOLDERS, _MANY_FOLDERS))
    if few is None or many is None:
        return None
    milliseconds = 1000 * (many.median - few.median) / (_MANY_FOLDERS - _FEW_FOLDERS)
    return f"{milliseconds:.1f} ms", milliseconds < 10


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
    few, many = results.figure("features/ours", 20_000), results.figure("features/ours", 50_000)
    if few is None or many is None:
        return None
    ratio = (many.median / 50_000) / (few.median / 20_000)
    return f"{ratio:.2f} times the time a photo", ratio <= 1.1


_TARGETS = [
    ("fruits run where nothing is new, 400 photos in 25 folders", "< 3 s, no Java started", _nothing_new),
    (f"{ADDED} photos added to 3,000", f"< 12 s, {ADDED} rows of features written", _added),
    ("fruits demo in a new directory", "< 12 s", _seconds("everyday/demo", 192, 12)),
    _features(20_000, "pool", 0.97),
    _features(20_000, "daft", 1.0),
    _features(20_000, "ray", 1.15),
    _features(50_000, "pool", 1.0),
    _features(50_000, "daft", 1.0),
    _features(50_000, "ray", 1.2),
    _ratio("features of 4,000 photos, against the notebook's way", "features", "notebook", 6, 4000),
    _ratio("whole pipeline, 4,000 photos, against the notebook's whole flow", "pipeline", "notebook", 18, 4000),
    _ratio("12-megapixel photos, against a process pool with our decoding", "phone", "pool", 0.95, 1500),
    _ratio("12-megapixel photos, against Daft with our decoding", "phone", "daft", 1.0, 1500),
    ("12-megapixel photos, against a process pool with full decoding", ">= 2 times as fast, cosine >= 0.999", _phone),
    _ratio("PCA of 100,000 x 1280, k = 350, against spark.ml", "pca", "spark_ml", 10, 100_000, "fit_seconds"),
    _ratio("the same PCA, against pyarrow and numpy alone", "pca", "numpy", 0.8, 100_000, "fit_seconds"),
    ("fruits identify among 1,000,000 photos, cold process", "< 2 s, < 0.5 GB", _identify),
    ("fruits identify among 3,000 photos, cold process", "< 2 s", _seconds("single/ours", 1, 2, "cold_seconds")),
    (f"a folder's cost besides its photos, {_MANY_FOLDERS:,} folders", "< 10 ms", _folder),
    ("memory of the Python workers together, and of everything", "< 0.6 GB, < 2 GB", _memory),
    ("time a photo at 50,000 photos against 20,000", "<= 1.1", _growth),
]
