"""The results as Markdown."""

from collections.abc import Iterator

from benchmarks.cases import CASES
from benchmarks.harness.machine import sentence_of_machine
from benchmarks.reporting.results import Figure, Results
from benchmarks.targets import judge

_HEADINGS = {
    "everyday": "Every day: a store of {size:,} photos",
    "features": "Features: {size:,} photos of 100x100 to Parquet",
    "pipeline": "Whole pipeline: {size:,} photos to reduced rows, 350 components",
    "limits": "Limits of the machine",
    "phone": "12-megapixel photos: {size:,} to Parquet",
    "pca": "PCA: {size:,} x 1280, 350 components",
    "single": "One photo",
    "identify": "fruits identify among {size:,} photos",
    "folders": "Folders: 6,000 photos in {size:,} folders to reduced rows",
}


def as_markdown(results: Results) -> str:
    """Returns the whole page."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    versions = ", ".join(f"{name} {one}" for name, one in results.versions.items())
    yield f"{sentence_of_machine(results.machine)} {versions}."
    yield ""
    yield (f"Photos: {results.inputs['photos']}. Weights: {results.inputs['weights']}. Mode: {results.inputs['mode']}.")
    yield ""
    yield "Medians, with least and most in brackets; every run is a process of its own, its start included."
    if results.inputs["mode"] == "full":
        yield from _targets(results)
    for discipline, heading in _HEADINGS.items():
        for size in results.sizes(discipline):
            yield ""
            yield f"## {heading.format(size=size)}"
            yield ""
            yield from _TABLES.get(discipline, _throughput)(results, discipline, size)
    if results.left_out:
        yield ""
        yield "Left out: " + "; ".join(f"{name}: {reason}" for name, reason in results.left_out.items()) + "."


def _targets(results: Results) -> Iterator[str]:
    yield ""
    yield "## The numbers to reach"
    yield ""
    yield "Ratios are those of the medians, with the least and the most within a round in brackets."
    yield ""
    yield "| what | today | target | |"
    yield "|---|---|---|---|"
    for target in judge(results):
        verdict = "not measured" if target.measured is None else "met" if target.met else "**not met**"
        yield f"| {target.what} | {target.measured or ''} | {target.wanted} | {verdict} |"


def _present(results: Results, discipline: str, size: int) -> Iterator[tuple[str, str, int]]:
    for case in CASES:
        runs = len(results.of(case.name, size))
        if case.discipline == discipline and runs:
            yield case.name, case.title, runs


def _throughput(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds | photos/s | ours is | peak memory | of it Spark's Python workers | runs |"
    yield "|---|---|---|---|---|---|---|"
    ours = results.figure(f"{discipline}/ours", size)
    for name, title, runs in _present(results, discipline, size):
        seconds = results.figure(name, size)
        if seconds is None:
            continue
        memory = [_gigabytes(results.memory(name, size, workers=workers)) for workers in (False, True)]
        yield (
            f"| {title} | {seconds.told()} | {size / seconds.median:,.0f} | {_ratio(ours, seconds)} | "
            f"{' | '.join(memory)} | {runs} |"
        )
        if name == "features/ours":
            asset = results.figure(name, size, "asset_seconds")
            assert asset is not None  # noqa: S101
            alone = f"{asset.told()} | {size / asset.median:,.0f}"
            yield f"| of which the asset mobilenet_features alone | {alone} | | | | |"
    cosines = [run.facts["cosine_least"] for run in results.runs if "cosine_least" in run.facts and run.size == size]
    if cosines and discipline == "phone":
        yield ""
        yield f"Cosine of our features to those of full decoding: at least {min(cosines):.5f}."


def _limits(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | photos/s | |"
    yield "|---|---|---|"
    for name, title, _ in _present(results, discipline, size):
        rate = results.figure(name, size, "images_per_second")
        more = results.figure(name, size, "gigaflops") if name == "limits/sgemm" else None
        if rate is not None:
            yield f"| {title} | {rate.told(0)} | {f'{more.median:,.0f} GFLOP/s' if more else ''} |"


def _pca(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds to read and fit | whole process | ours is | peak memory | runs |"
    yield "|---|---|---|---|---|---|"
    ours = results.figure("pca/ours", size, "fit_seconds")
    for name, title, runs in _present(results, discipline, size):
        fit, process = results.figure(name, size, "fit_seconds"), results.figure(name, size)
        if fit is not None and process is not None:
            yield (
                f"| {title} | {fit.told()} | {process.told()} | {_ratio(ours, fit)} | "
                f"{_gigabytes(results.memory(name, size))} | {runs} |"
            )


def _everyday(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds | Java | rows written | peak memory | runs |"
    yield "|---|---|---|---|---|---|"
    for name, title, runs in _present(results, discipline, size):
        seconds, first = results.figure(name, size), results.of(name, size)[0].facts
        if seconds is not None:
            written = ", ".join(f"{rows:,} of {table}" for table, rows in first["rows_written"].items())
            yield (
                f"| {title} | {seconds.told()} | {'yes' if first['java'] else 'no'} | {written} | "
                f"{_gigabytes(results.memory(name, size))} | {runs} |"
            )


def _identify(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds, cold process | peak memory (resident) | runs |"
    yield "|---|---|---|---|"
    for name, title, runs in _present(results, discipline, size):
        seconds, memory = results.figure(name, size, "cold_seconds"), results.figure(name, size, "resident_bytes")
        if seconds is not None and memory is not None:
            yield f"| {title} | {seconds.told(2)} | {_gigabytes(memory.median)} | {runs} |"


def _folders(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds | peak memory | runs |"
    yield "|---|---|---|---|"
    for name, title, runs in _present(results, discipline, size):
        seconds = results.figure(name, size)
        if seconds is not None:
            yield f"| {title} | {seconds.told()} | {_gigabytes(results.memory(name, size))} | {runs} |"


def _single(results: Results, discipline: str, size: int) -> Iterator[str]:
    yield "| | seconds, cold process | milliseconds, warm | peak memory | runs |"
    yield "|---|---|---|---|---|"
    for name, title, runs in _present(results, discipline, size):
        told = "cold_seconds" in results.of(name, size)[0].facts
        cold = results.figure(name, size, "cold_seconds" if told else None)
        warm = results.figure(name, size, "warm_seconds") if told else None
        if cold is not None:
            yield (
                f"| {title} | {cold.told(2)} | {f'{1000 * warm.median:.1f}' if warm else ''} | "
                f"{_gigabytes(results.memory(name, size))} | {runs} |"
            )


_TABLES = {
    "everyday": _everyday,
    "folders": _folders,
    "identify": _identify,
    "limits": _limits,
    "pca": _pca,
    "single": _single,
}


def _ratio(ours: Figure | None, other: Figure) -> str:
    return "" if ours is None or ours == other else f"{other.median / ours.median:.2f}x"


def _gigabytes(amount: float | None) -> str:
    return "" if amount is None else f"{amount / 1e9:.2f} GB"
