"""The command ``fruits audit``: what is wrong with the photos of a store, and a split that one can train on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fruits_assets.commands.support.locations import lies_within
from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import LocalPath, store_option
from fruits_assets.instance.home import dagster_home, ensure_dagster_home, instance_at_the_terminal
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.interrupts import INTERRUPTS
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.queries.exports.target import check_target, descriptor_of, whole_or_not_at_all
from spark_steps.storage.locations import is_remote, normalise
from spark_steps.store.store import Store

if TYPE_CHECKING:
    from spark_steps.queries.audit_report import AuditReport

_FILE = LocalPath(path_type=Path)
_PHOTOS_PER_KIND = 24
_NOTHING_NEW = "Nothing is new: the last audit is of the photos that have features, with these settings."


def _setting(name: str, kind: click.ParamType[Any], about: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns the option of a setting FRUITS_AUDIT_<name>."""
    return click.option(f"--{name}", f"audit_{name}", type=kind, help=f"{about}  [env: FRUITS_AUDIT_{name.upper()}]")


@click.command("audit")
@store_option
@click.option(
    "--deployment",
    type=click.Choice(["local", "emr", "emr-serverless", "glue", "databricks"]),
    help="Where the audit runs.  [env: FRUITS_DEPLOYMENT; default: local]",
)
@_setting(
    "cosine", click.FloatRange(0, 1, min_open=True), "Cosine of features from which two photos are near-duplicates."
)
@_setting("neighbours", click.IntRange(1, 100), "Nearest photos whose labels a photo's is compared with.")
@_setting("validation", click.FloatRange(0, 1, max_open=True), "Share of the photos for validation.")
@_setting("test", click.FloatRange(0, 1, max_open=True), "Share of the photos for test; the rest is for training.")
@_setting("seed", click.IntRange(0), "Another seed makes another split.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: the whole report, with examples of each kind.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page with charts; no photo is in it.")
@click.option(
    "--with-photos",
    type=_FILE,
    metavar="FILE|DIR",
    help=f"Write a contact sheet: small copies of at most {_PHOTOS_PER_KIND} photos of each kind. Never in the store.",
)
@click.option("--card", type=_FILE, metavar="FILE", help="Write a data card in Markdown; no path of a photo is in it.")
@click.option(
    "--examples", type=click.IntRange(0, 1000), default=5, show_default=True, help="Photos that are named of each kind."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    help="End with exit code 1 if there is a finding of this severity or a worse one.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@reports_problems
def audit_command(
    store: str | None,
    deployment: str | None,
    as_json: bool,
    html: Path | None,
    with_photos: Path | None,
    card: Path | None,
    examples: int,
    fail_on: str | None,
    force: bool,
    **asked: float | None,
) -> None:
    """Find duplicates, wrong labels and bad photos, and split the photos so that no near-duplicates are apart.

    The photos are those that have features; fruits run makes them. What was audited before is not audited again. The
    exit code is 0 whatever is found, unless --fail-on is given.

    \b
    Examples:
      fruits audit --store results
      fruits audit --store results --html audit.html --card card.md
      fruits audit --store results --with-photos sheet.html
      fruits audit --store results --json --fail-on error
    """
    settings = read_settings(store=store, deployment=deployment, **asked)
    opened = open_store(settings)
    if with_photos is not None and with_photos.is_dir():
        with_photos /= "contact-sheet.html"
    _check_targets([file for file in (html, with_photos, card) if file is not None], opened, force)
    images = _images_of(opened)
    settings = settings.with_given(images=images)
    _bring_up_to_date(settings, opened)
    from spark_steps.queries.audit_report import read_audit

    report = read_audit(opened, settings.audit, examples)
    _print(report, as_json)
    if html is not None:
        _write_page(report, html, force)
    if card is not None:
        _write_card(report, opened, images, card, force)
    if with_photos is not None:
        _write_contact_sheet(settings, opened, with_photos, force)
    _fail_on(report, fail_on)


def _check_targets(files: Sequence[Path], store: Store, force: bool) -> None:
    """Raises an error before any work where a file cannot be written, or lies in the store."""
    for file in files:
        if descriptor_of(file) is not None:
            raise CalledWronglyError(f"{file} is no file. Give the name of one.")
        if not is_remote(store.root) and lies_within(normalise(str(file)), store.root):
            raise CalledWronglyError(
                f"{file} lies in the store, where an erasure would not find what it shows of a photo. Give a file "
                "elsewhere."
            )
        check_target(file, force)
    if len(set(files)) < len(files):
        raise CalledWronglyError("Two of the files to write are the same. Give each another name.")


def _images_of(store: Store) -> str:
    """Returns the images root of a store with photos that have features.

    Raises:
        FruitsError: There is none.
    """
    if (images := store.images) is None or not store.mobilenet_features.files():
        raise FruitsError(
            f"There is no store at {store.root}, or no photo of it has features. Make them: fruits run --images DIR "
            f"{store.option}"
        )
    return images


def _bring_up_to_date(settings: Settings, store: Store) -> None:
    from spark_steps.audit.version import audit_is_outdated

    if not audit_is_outdated(store, settings.audit):
        click.echo(_NOTHING_NEW, err=True)
        return
    # Imported here: --help and a look at the last audit need neither Spark nor Dagster.
    from spark_steps.spark.session import start_in_background

    home = dagster_home(settings.store)
    if settings.deployment == "local":
        start_in_background(settings.spark_config, home / "storage" / "spark.err")
    else:
        INTERRUPTS.let_the_cluster_be_ended()
    from fruits_assets.definitions import build_definitions
    from fruits_assets.jobs.audit import run_audit

    ensure_dagster_home(settings.store)
    with instance_at_the_terminal(home) as instance:
        run_audit(settings, instance, build_definitions(settings), lambda line: click.echo(line, err=True))


def _print(report: "AuditReport", as_json: bool) -> None:
    from fruits_assets.commands.support.audit_text import as_text

    click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False) if as_json else as_text(report))


def _write(file: Path, text: str, force: bool, mode: int = 0o666) -> None:
    with whole_or_not_at_all(file, force) as partial:
        partial.touch(mode)
        partial.write_text(text, encoding="utf-8")


def _write_page(report: "AuditReport", file: Path, force: bool) -> None:
    from fruits_assets.commands.support.audit_page import as_page

    _write(file, as_page(report), force)
    click.echo(f"Page {file}: no photo is in it, but names of photos are.", err=True)


def _write_card(report: "AuditReport", store: Store, images: str, file: Path, force: bool) -> None:
    from fruits_assets.commands.support.audit_card import Sources, as_card
    from spark_steps.queries.report import read_report

    model = store.pca_model()
    versions = {name: table.snapshot().version for name, table in store.tables.items()}
    sources = Sources(images, model.features_model if model else "", versions)
    _write(file, as_card(report, read_report(store.root), sources), force)
    click.echo(f"Data card {file}", err=True)


def _write_contact_sheet(settings: Settings, store: Store, file: Path, force: bool) -> None:
    from fruits_assets.commands.support.contact_sheet import as_contact_sheet
    from spark_steps.queries.audit_report import read_findings

    kinds = read_findings(store, _PHOTOS_PER_KIND)
    # Only its owner may read it: it holds photos.
    _write(file, as_contact_sheet(kinds, settings.images, settings.decode_limits), force, 0o600)
    click.echo(
        f"Contact sheet {file}: it holds small copies of photos. An erasure does not reach it: delete it when you have "
        "looked at it.",
        err=True,
    )


def _fail_on(report: "AuditReport", severity: str | None) -> None:
    if severity is None:
        return
    severe = {"error": ["error"], "warning": ["error", "warning"]}[severity]
    found = {one: sum(report.severities.get(one, {}).values()) for one in severe}
    if sum(found.values()):
        counts = " and ".join(f"{count:,} of severity {one}" for one, count in found.items() if count)
        raise FruitsError(f"There are findings: {counts}. Without --fail-on the exit code would be 0.")
