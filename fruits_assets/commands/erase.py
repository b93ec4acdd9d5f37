"""The command ``fruits erase``: permanent erasure of photos and of all that was derived from them."""

import sys
from pathlib import Path

import click

from fruits_assets.commands.completion import files
from fruits_assets.commands.support.options import images_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.erasure.lists import text_of
from spark_steps.erasure.plan import Plan
from spark_steps.errors import FruitsError
from spark_steps.queries.exports.target import descriptor_of

_FILES_SHOWN = 20
_STANDARD_INPUT = "-"


@click.command("erase")
@images_option
@store_option
@click.option("--image-id", "image_ids", multiple=True, metavar="SHA256", help="Photo by the sha256 of its bytes.")
@click.option("--path", "paths", multiple=True, metavar="PATH", shell_complete=files, help="Photo by its file.")
@click.option(
    "--from-file",
    "listed",
    metavar="LIST",
    shell_complete=files,
    help="A file or a pipe with an image id or path a line; - for standard input.",
)
@click.option("--older-than", metavar="DAYS", type=click.IntRange(1), help="Photos not changed for so many days.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports_problems
def erase_command(
    images: str | None,
    store: str | None,
    image_ids: tuple[str, ...],
    paths: tuple[str, ...],
    listed: str | None,
    older_than: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Erase photos for good: their files with all versions, their rows in every table, and what Dagster noted of them.

    Copies of the same bytes that a run has seen are erased too, and later runs refuse these bytes under any name. A
    hash of the bytes remains, and a receipt that names no photo. An erasure that was interrupted is finished first;
    if no photo is named, nothing else is done. Exit code 1 where a named path has nothing to erase.

    \b
    Examples:
      fruits erase --images photos --store results --path photos/Banana/1.jpg
      fruits erase --images s3://bucket/Test --store s3://bucket --from-file list.txt --yes
      find photos/Banana -mtime +365 | fruits erase --images photos --store results --from-file - --dry-run
    """
    # Imported here: they import Dagster, which --help does not need.
    import dagster as dg

    from fruits_assets.instance.home import ensure_dagster_home
    from fruits_assets.jobs.erasure_service import ErasureRequest, erase, preview

    settings = read_settings(images=images, store=store)
    lines = _sent(listed, can_ask=not (yes or dry_run)) if listed is not None else None
    wanted = ErasureRequest(list(image_ids), list(paths), listed if lines is None else None, older_than, lines or "")
    if dry_run:
        plan = preview(settings, wanted)
        click.echo(describe(plan, all_of_it=True))
        refuse_absent(plan)
        return
    ensure_dagster_home(settings.store)
    plans: list[Plan] = []

    def agreed(plan: Plan) -> bool:
        plans.append(plan)
        click.echo(describe(plan))
        return plan.is_empty or yes or click.confirm("Erase them for good?", abort=True)

    with dg.DagsterInstance.get() as instance:
        erase(settings, instance, wanted, agreed, lambda line: click.echo(line, err=True))
    for plan in plans:
        refuse_absent(plan)


def _sent(listed: str, *, can_ask: bool) -> str | None:
    """Returns the list that standard input or a pipe, such as ``<(find ...)``, holds; None where it is a file."""
    path = Path(listed)
    if listed == _STANDARD_INPUT or descriptor_of(path) == 0:
        if can_ask:
            raise click.UsageError(
                f"--from-file {listed} takes standard input, so that nobody can be asked: add --yes."
            )
        return text_of(sys.stdin.buffer.read(), "Standard input")
    return text_of(path.read_bytes(), f"The list {listed}") if path.is_fifo() else None


def refuse_absent(plan: Plan) -> None:
    """Raises a FruitsError where a named path has nothing to erase: it may be mistyped, and its photo still there."""
    if plan.absent:
        raise FruitsError(
            f"{len(plan.absent):,} of the paths have nothing to erase under them, such as {plan.absent[0]}: mistyped, "
            "or erased before; the store keeps no path by which to tell. Check them. An --image-id that was erased "
            "before is known."
        )


def describe(plan: Plan, *, all_of_it: bool = False) -> str:
    """Returns a plan for people.

    Args:
        plan: What an erasure would delete.
        all_of_it: Whether to name every file, not only the first ones.
    """
    lines = [f"Nothing is there under {path}" for path in plan.absent]
    if plan.erased_before:
        lines.append(f"{len(plan.erased_before):,} of the image ids were erased before.")
    if plan.is_empty:
        return "\n".join([*lines, "There is nothing to erase."])
    rows = ", ".join(f"{found.rows:,} of {name}" for name, found in plan.rows.items())
    lines += [f"{len(plan.image_ids):,} photos in {len(plan.files):,} files go, and their rows: {rows}."]
    if former := sum(len(found.former) for found in plan.rows.values()):
        lines.append(f"{former:,} files of former versions of the tables go: these versions can no longer be read.")
    shown = plan.files if all_of_it else plan.files[:_FILES_SHOWN]
    lines += [f"  {path}" for path in shown]
    if len(shown) < len(plan.files):
        lines.append(f"  and {len(plan.files) - len(shown):,} more, which --dry-run names")
    lines += [
        f"{path} holds another photo now, which stays and gets its rows with the next run." for path in plan.replaced
    ]
    for model in plan.models:
        saw = "was fitted on them" if model.certain else "may have been fitted on some"
        lines.append(f"PCA model {model.version}{', the current one,' if model.current else ''} {saw}.")
    return "\n".join(lines)
