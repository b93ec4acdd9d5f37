"""The command: ``python -m benchmarks``."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import click

from benchmarks.cases import CASES, Case, in_turn
from benchmarks.harness.harness import Bench, run_rounds
from benchmarks.harness.machine import cores, describe_machine, describe_versions
from benchmarks.harness.photos import find_originals
from benchmarks.reporting.chart import draw
from benchmarks.reporting.results import Results, load_results
from benchmarks.reporting.table import as_markdown
from benchmarks.targets import judge
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError

_HERE = Path(__file__).parent
_SHARED = _HERE.parent.parent / "shared" / "data"
_PHOTOS, _WEIGHTS = _SHARED / "fruits360", _SHARED / "weights" / "mobilenet_v2_imagenet_int8_no_top.h5"
# Photos of the store that a single photo is compared with.
_STORED = 3000
# What the small mode takes in place of each case's own sizes.
_SMALL = {"photos": 48, "phone photos": 4, "features table": 2000, "used store": 50}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--small", is_flag=True, help="A few photos, a round, and no judgement of times: does it work?")
@click.option("--only", multiple=True, metavar="NAME", help="Discipline (features) or case (features/ray, pca/*).")
@click.option("--photos", type=click.IntRange(1), help="Photos, in place of each case's own numbers.")
@click.option("--rounds", type=click.IntRange(1), help="Runs of each case.  [default: 3, small: 1]")
@click.option("--resume", is_flag=True, help="Go on from the results in the output directory.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=_HERE / "results")
@click.option("--images", type=click.Path(file_okay=False, path_type=Path), default=_PHOTOS, help="Real photos.")
@click.option("--weights", help="An .h5 or .keras file, or random:<seed>.")
@click.option("--scratch", type=click.Path(file_okay=False, path_type=Path), help="Where photos are linked to.")
@reports_problems
def main(
    small: bool,
    only: tuple[str, ...],
    photos: int | None,
    rounds: int | None,
    resume: bool,
    output: Path,
    images: Path,
    weights: str | None,
    scratch: Path | None,
) -> None:
    """Measure the platform beside what it replaces, its rivals, and the limits of the machine.

    \b
    Examples:
      python -m benchmarks --small --output /tmp/small
      python -m benchmarks --only features --photos 1000
      python -m benchmarks --only pca --resume
      python -m benchmarks --only everyday --resume
    """
    scratch = (scratch or Path(tempfile.gettempdir()) / "fruits-benchmarks").absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    weights = _absolute(weights) if weights else str(_WEIGHTS) if _WEIGHTS.exists() else "random:0"
    seconds, stored = (2.0, _SMALL["used store"]) if small else (10.0, _STORED)
    bench = Bench(find_originals(images, scratch), weights, scratch, cores(), seconds, stored)
    inputs = {
        "photos": "real, of Fruits-360" if bench.originals == images else "generated",
        "weights": Path(weights).name,
        "mode": "small: too few photos to judge anything by" if small else "full",
    }
    results = Results(describe_machine(), describe_versions(), inputs)
    if resume:
        results = _resumed(output / "results.json", results)
    cases = _chosen(only, photos, small)
    results.left_out = {**results.left_out, **_left_out(cases, weights)}
    runnable = [(case, size) for case, size in cases if not _why_not(case, weights)]
    for name, reason in _left_out(cases, weights).items():
        click.echo(f"left out: {name}: {reason}", err=True)

    def save() -> None:
        results.save(output / "results.json", targets=[vars(target) for target in judge(results)])

    run_rounds(
        runnable, rounds or (1 if small else 3), bench, results.runs, save, lambda line: click.echo(line, err=True)
    )
    save()
    (output / "results.md").write_text(as_markdown(results))
    draw(results, output / "results.png")
    click.echo(as_markdown(results))


def _absolute(weights: str) -> str:
    return weights if weights.startswith("random:") else str(Path(weights).absolute())


def _chosen(only: Sequence[str], photos: int | None, small: bool) -> list[tuple[Case, int]]:
    wanted = [case for case in CASES if not only or any(_matches(case.name, name) for name in only)]
    if unknown := [name for name in only if not any(_matches(case.name, name) for case in CASES)]:
        raise FruitsError(f"No case is called {unknown[0]!r}. There are {', '.join(case.name for case in CASES)}.")
    chosen = []
    for case in wanted:
        if small and not case.small and not only:
            continue
        sizes = (_SMALL.get(case.data, case.sizes[0]),) if small else case.sizes
        if photos is not None and case.data in ("photos", "phone photos"):
            sizes = (photos,)
        chosen += [(case, size) for size in sizes]
    return in_turn(chosen)


def _matches(name: str, wanted: str) -> bool:
    return fnmatchcase(name, wanted) or name.split("/")[0] == wanted


def _why_not(case: Case, weights: str) -> str | None:
    if case.keras and weights.endswith(".tflite"):
        return "Keras cannot read .tflite weights"
    return case.missing()


def _left_out(cases: Sequence[tuple[Case, int]], weights: str) -> dict[str, str]:
    return {case.name: reason for case, _ in cases if (reason := _why_not(case, weights))}


def _resumed(file: Path, present: Results) -> Results:
    before = load_results(file)
    if before.machine != present.machine or before.inputs != present.inputs:
        raise FruitsError(
            f"The results in {file} are of another machine, or of other photos or weights. Leave out --resume."
        )
    ran = {run.case for run in before.runs}
    return replace(
        before, versions=present.versions, left_out={k: v for k, v in before.left_out.items() if k not in ran}
    )


if __name__ == "__main__":
    main()
