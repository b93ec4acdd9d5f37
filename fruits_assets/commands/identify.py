"""The command ``fruits identify``: which labels a photo is nearest to."""

import json
from pathlib import Path
from typing import Any

import click

from fruits_assets.commands.completion import files
from fruits_assets.commands.opening import open_store
from fruits_assets.commands.options import store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal import tells_problems_in_a_sentence
from spark_steps.errors import FruitsError
from spark_steps.identify import Identification, Identified, identify
from spark_steps.neighbours import labels_of


@click.command("identify")
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True, shell_complete=files)
@store_option
@click.option("--neighbours", default=10, show_default=True, type=click.IntRange(1), help="Nearest photos to look at.")
@click.option("--json", "as_json", is_flag=True, help="For scripts; with the neighbours and the photo's own numbers.")
@tells_problems_in_a_sentence
def identify_command(photos: tuple[str, ...], store: str | None, neighbours: int, as_json: bool) -> None:
    """Name the labels that photos are nearest to in a store; the photos need not be in it.

    The distance is that of a label's nearest photo, in the reduced features. Ends with code 1 if a photo is refused.

    \b
    Examples:
      fruits identify photo.jpg --store results
      fruits identify *.jpg --store results --neighbours 20 --json
    """
    settings = read_settings(store=store)
    told = identify(list(photos), open_store(settings), neighbours, settings.decode_limits)
    if told.other_rows:
        click.echo(
            f"Left out: {told.other_rows:,} photos of the store, which another PCA model than the current "
            f"{told.pca_model} has reduced. fruits run brings them up to date.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(as_document(told), indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(as_text(one) for one in told.identified), nl=bool(told.identified))
    if told.refused:
        raise FruitsError("\n".join(told.refused.values()))


def as_text(identified: Identified) -> str:
    """Returns the labels near a photo for people."""
    labels = labels_of(identified.neighbours)
    width = max(len(one.label) for one in labels)
    lines = [
        f"  {one.label:<{width}}  {one.distance:8.2f}  {one.photos:3} of {len(identified.neighbours)}  "
        f"{Path(one.nearest).name}"
        for one in labels
    ]
    return "\n".join([identified.photo.photo, *lines])


def as_document(told: Identification) -> dict[str, Any]:
    """Returns an identification as JSON takes it."""
    photos = [
        {
            "photo": one.photo.photo,
            "image_id": one.photo.image_id,
            "labels": [label._asdict() for label in labels_of(one.neighbours)],
            "neighbours": [neighbour._asdict() for neighbour in one.neighbours],
            "reduced": one.photo.reduced.tolist(),
        }
        for one in told.identified
    ]
    refused = [{"photo": photo, "error": reason} for photo, reason in told.refused.items()]
    compared = {"photos_compared_with": told.rows, "photos_left_out": told.other_rows}
    return {"pca_model": told.pca_model, **compared, "photos": [*photos, *refused]}
