"""The command of the study; ``uv run --group pixels python -m benchmarks.studies.pixels --help`` describes it."""

import tempfile
from itertools import chain
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks.studies.pixels.combinations import combinations
from benchmarks.studies.pixels.comparison import Comparison
from benchmarks.studies.pixels.heifs import heifs
from benchmarks.studies.pixels.references import References
from fruits_assets.sample_photos import write_sample
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.weights import load_model
from spark_steps.photos.names import is_photo

_PICTURE = "Watermelon/000.jpg"


@click.command()
@click.option("--weights", default="imagenet", help="The network whose features are compared, as fruits run takes it.")
@click.option("--cache", required=True, help="A folder for the converted network.")
@click.option("--generated/--no-generated", default=True, help="Whether to compare generated files.")
@click.argument("suites", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(weights: str, cache: str, generated: bool, suites: tuple[Path, ...]) -> None:
    """Compare pixels over generated files, and over the photos below SUITES, each of which has a row of the table."""
    references = References()
    comparison = Comparison(FeatureExtractor(load_model(weights, str(Path(cache).absolute())).flatbuffer))
    with tempfile.TemporaryDirectory() as scratch:
        write_sample(Path(scratch), photos_per_folder=1)
        photo = cv2.imread(str(Path(scratch) / _PICTURE))
    picture = np.ascontiguousarray(cv2.resize(photo, (200, 140), interpolation=cv2.INTER_CUBIC)[:, :, ::-1])
    picture = picture.astype(np.uint8)
    for one in chain(combinations(picture), heifs(picture)) if generated else ():
        comparison.add(
            one.kind, one.name, one.data, references.pictures_of(one.data) if one.picture is None else [one.picture]
        )
    for suite in suites:
        for file in sorted(file for file in suite.rglob("*") if file.is_file() and is_photo(file.name)):
            data = file.read_bytes()
            comparison.add(f"files of {suite.name}", str(file.relative_to(suite)), data, references.pictures_of(data))
    click.echo(comparison.as_markdown())


if __name__ == "__main__":
    main()
