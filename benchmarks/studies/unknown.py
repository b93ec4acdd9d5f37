"""How often ``fruits identify`` takes a known label for unknown, and something else for a label.

Labels are held out in turn: their photos are something else to a store of the others. Of each of the others a block of
frames is held out, and these are known; as they are, and disturbed. The PCA is fitted on what is left.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from spark_steps.errors import UnusablePhotoError
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.weights import find_network
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel, PcaSettings, solve
from spark_steps.pca.moments import Moments
from spark_steps.photos.decoding import decode
from spark_steps.photos.limits import DecodeLimits
from spark_steps.queries.neighbours import KNOWN_BELOW
from spark_steps.store.store import Store

Numbers = NDArray[np.float32]
_BLOCKS, _HELD_OUT_BLOCKS = 5, (0, 2, 4)
# Every fourth photo is disturbed: a photo takes 10 ms or so.
_DISTURBED = 4
_RATIOS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


def _turned(photo: Image.Image) -> Image.Image:
    return photo.rotate(40, resample=Image.Resampling.BICUBIC, fillcolor="white")


def _darker(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(0.6)


DISTURBANCES: Mapping[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "darker by 40 %": (_darker, 95),
    "turned by 40 degrees": (_turned, 95),
    "both": (lambda photo: _darker(_turned(photo)), 95),
    "the middle 76 % alone": (lambda photo: photo.crop(_middle(photo)), 95),
    "as JPEG of quality 30": (lambda photo: photo, 30),
}


def _middle(photo: Image.Image) -> tuple[int, int, int, int]:
    x, y = round(photo.width * 0.12), round(photo.height * 0.12)
    return x, y, photo.width - x, photo.height - y


@dataclass(frozen=True)
class Photos:
    """Some photos.

    Attributes:
        labels: Of each, of shape (N,).
        blocks: Which block of its folder's frames each is in, of shape (N,).
        features: Of shape (N, 1280).
    """

    labels: NDArray[np.str_]
    blocks: NDArray[np.int64]
    features: Numbers

    def where(self, chosen: NDArray[np.bool_]) -> Numbers:
        """Returns the features of some."""
        return self.features[chosen]


def read_photos(store: Store) -> tuple[Photos, list[str]]:
    """Returns all photos of a store that have features, in the order of their frames, and their paths."""
    table = store.mobilenet_features.arrow(["path", "label", "features"]).to_pylist()
    rows = sorted((row for row in table if row["features"] is not None), key=lambda row: _frame(row["path"]))
    labels = np.array([row["label"] for row in rows])
    blocks = np.zeros(len(rows), np.int64)
    for label in np.unique(labels):
        (of_label,) = np.nonzero(labels == label)
        blocks[of_label] = np.arange(len(of_label)) * _BLOCKS // len(of_label)
    return Photos(labels, blocks, np.array([row["features"] for row in rows], np.float32)), [r["path"] for r in rows]


def _frame(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path)]


def disturbed(photos: Photos, paths: Sequence[str], extractor: FeatureExtractor) -> Iterator[tuple[str, Photos]]:
    """Yields every so many of the photos, disturbed in each way."""
    for name, (disturb, quality) in DISTURBANCES.items():
        features = []
        for path in paths[::_DISTURBED]:
            with Image.open(path) as photo:
                buffer = io.BytesIO()
                disturb(photo.convert("RGB")).save(buffer, "JPEG", quality=quality)
            features.append(
                extractor.extract(decode(buffer.getvalue(), DecodeLimits().max_pixels, extractor.spec.size))
            )
        yield name, Photos(photos.labels[::_DISTURBED], photos.blocks[::_DISTURBED], np.array(features))


def read_others(folder: Path, extractor: FeatureExtractor) -> Numbers:
    """Returns the features of the photos in a folder that can be read."""
    found = []
    for file in sorted(folder.iterdir()):
        try:
            found.append(extractor.extract(decode(file.read_bytes(), DecodeLimits().max_pixels, extractor.spec.size)))
        except UnusablePhotoError:
            continue
    return np.array(found, np.float32).reshape(len(found), -1)


def ratios(model: PcaModel, photos: Numbers, kept: Numbers, labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Returns of each photo its distance to the nearest photo, as a share of that to the nearest of another label."""
    reduced, store = model.project(photos).astype(np.float64), model.project(kept).astype(np.float64)
    squares = (reduced**2).sum(1)[:, None] - 2 * reduced @ store.T + (store**2).sum(1)
    by_label = [squares[:, labels == label].min(1) for label in np.unique(labels)]
    nearest = np.sqrt(np.sort(np.array(by_label), axis=0)[:2].clip(min=0))
    share: NDArray[np.float64] = nearest[0] / nearest[1]
    return share


Measured = dict[str, list[NDArray[np.float64]]]


def measure(photos: Photos, ways: Mapping[str, Photos], others: Numbers) -> tuple[Measured, Measured]:
    """Returns the ratios of photos whose label is known, and of something else, by what was done to them."""
    known: Measured = defaultdict(list)
    unknown: Measured = defaultdict(list)
    for label in np.unique(photos.labels):
        for block in _HELD_OUT_BLOCKS:
            held_out = photos.labels == label
            kept = ~held_out & (photos.blocks != block)
            rows = photos.where(kept)
            model = solve(Moments.of_rows(rows), "", PcaSettings(), [])
            for name, some in {"as it is": photos, **ways}.items():
                of_label = some.labels == label
                queries = some.where(~of_label & (some.blocks == block))
                known[name].append(ratios(model, queries, rows, photos.labels[kept]))
                unknown[name].append(ratios(model, some.where(of_label), rows, photos.labels[kept]))
            if len(others):
                unknown["no fruit"].append(ratios(model, others, rows, photos.labels[kept]))
    return known, unknown


def as_markdown(known: Measured, unknown: Measured) -> str:
    """Returns the rates at each ratio."""
    lines = ["| photo | " + " | ".join(f"{ratio:g}" for ratio in _RATIOS) + " |", "|---|" + "---|" * len(_RATIOS)]
    for told, measured, is_known in (
        ("known, called unknown: ", known, True),
        ("something else, called by a label: ", unknown, False),
    ):
        for name, parts in measured.items():
            found = np.concatenate(parts)
            rates = (f"{np.mean((found < ratio) != is_known):.1%}" for ratio in _RATIOS)
            lines.append(f"| {told}{name} ({len(found):,}) | " + " | ".join(rates) + " |")
    return "\n".join([*lines, "", f"fruits identify has {KNOWN_BELOW:g}."])


@click.command()
@click.option("--store", required=True, help="A store of fruits run, on this machine, with its photos.")
@click.option("--others", type=click.Path(exists=True, path_type=Path), help="A folder of photos of something else.")
def main(store: str, others: Path | None) -> None:
    """Measure the threshold of fruits identify on a store's own photos."""
    place = Store(store)
    model = model_store.load(place.pca_models)
    network = find_network(model.features_model, place.mobilenet_models)
    if network is None:
        raise click.ClickException("The store has not kept its network.")
    extractor = FeatureExtractor(*network)
    photos, paths = read_photos(place)
    foreign = read_others(others, extractor) if others else np.empty((0, photos.features.shape[1]), np.float32)
    click.echo(as_markdown(*measure(photos, dict(disturbed(photos, paths, extractor)), foreign)))


if __name__ == "__main__":
    main()
