"""The command ``fruits identify``: the labels that a photo is nearest to."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fruits_assets.commands.completion import files
from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import as_of_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import printable, reports_problems
from spark_steps.errors import FruitsError
from spark_steps.queries.identify import Identification, Identified, identify
from spark_steps.queries.neighbours import Verdict, labels_of
from spark_steps.store.staleness import named


@click.command("identify")
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True, shell_complete=files)
@store_option
@as_of_option
@click.option("--neighbours", default=10, show_default=True, type=click.IntRange(1), help="Nearest photos to look at.")
@click.option("--json", "as_json", is_flag=True, help="For scripts; with the neighbours and the photo's own numbers.")
@reports_problems
def identify_command(
    photos: tuple[str, ...], store: str | None, as_of: str | None, neighbours: int, as_json: bool
) -> None:
    """Name the labels that photos are nearest to in a store; the photos need not be in it.

    The distance to a label is the distance to its nearest photo, in the reduced features. A photo is compared with
    all photos of the store. A label is known where its nearest photo is much nearer than those of all other labels; a
    photo whose label is unknown is no failure. Exit code 1 if a photo cannot be read, after the other photos, or if
    the store has features of two networks, which cannot be compared.

    \b
    Examples:
      fruits identify photo.jpg --store results
      fruits identify *.jpg --store results --neighbours 20 --json
      fruits identify photo.jpg --store results --as-of 2026-07-30
    """
    settings = read_settings(store=store)
    opened = open_store(settings, as_of)
    answer = identify(list(photos), opened, neighbours, settings.decode_limits)
    if answer.projected:
        remedy = "" if opened.as_of else " fruits run brings them up to date."
        click.echo(
            f"Projected for this: {answer.projected:,} photos of the store, in {named(answer.projected_folders)}, "
            f"whose reduced features are not those of PCA model {answer.pca_model}.{remedy}",
            err=True,
        )
    if answer.weights_source.startswith("random:"):
        click.echo(
            f"warning: the network of the store has random weights ({answer.weights_source}): no label means anything.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(as_document(answer), indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(as_text(one) for one in answer.identified), nl=bool(answer.identified))
    if answer.refused:
        raise FruitsError("\n".join(map(printable, answer.refused.values())))


def as_text(identified: Identified) -> str:
    """Returns the labels near a photo as text: a verdict, and a line for each label."""
    labels = labels_of(identified.near)
    width = max(len(printable(one.label)) for one in labels)
    lines = [f"  {'label':<{width}}  distance  neighbours  nearest photo"]
    for one in labels:
        votes = f"{one.photos} of {len(identified.near.neighbours)}"
        nearest = printable(Path(one.nearest).name)
        lines.append(f"  {printable(one.label):<{width}}  {one.distance:8.2f}  {votes:>10}  {nearest}")
    verdict = printable(as_sentence(identified.near.verdict))
    return "\n".join([printable(identified.photo.photo), f"  {verdict}", *lines])


def as_sentence(verdict: Verdict) -> str:
    """Returns a verdict as a sentence."""
    if verdict.threshold is None:
        return f"Unknown: all photos of the store are of one label, {verdict.candidates[0]}."
    if verdict.threshold == 0:
        return f"Unknown: the same photo has the labels {' and '.join(verdict.candidates)} in the store."
    if verdict.label is None:
        one_of = " or ".join(verdict.candidates)
        return f"Unknown: no photo is nearer than {verdict.threshold:.2f}. Perhaps {one_of}, perhaps something else."
    return f"{verdict.label}: the nearest photo is nearer than {verdict.threshold:.2f}."


def as_document(answer: Identification) -> dict[str, Any]:
    """Returns an identification as a JSON document."""
    photos = [
        {
            "photo": one.photo.photo,
            "image_id": one.photo.image_id,
            "verdict": asdict(one.near.verdict),
            "labels": [label._asdict() for label in labels_of(one.near)],
            "neighbours": [neighbour._asdict() for neighbour in one.near.neighbours],
            "reduced": one.photo.reduced.tolist(),
        }
        for one in answer.identified
    ]
    refused = [{"photo": photo, "error": reason} for photo, reason in answer.refused.items()]
    compared = {"photos_compared_with": answer.photos, "photos_projected": answer.projected}
    return {"pca_model": answer.pca_model, **compared, "photos": [*photos, *refused]}
