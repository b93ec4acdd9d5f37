"""How many planted faults the flags of quality find, and how many good photos they flag.

Faults are planted in the photos as they are, and in photos as a phone takes them: 12 megapixels, the fruit on a
textured ground in uneven light, faults of the optics before the grain of the sensor, and JPEG.
"""

import io
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.harness.photos import PHONE_SIZE
from spark_steps.audit.flags import FLAG_KINDS, flags_of
from spark_steps.audit.settings import FlagThresholds
from spark_steps.photos.decoding import Photo, decode
from spark_steps.photos.limits import DecodeLimits
from spark_steps.photos.measures import measure

Random = np.random.Generator
# Of Gaussian blurs, as shares of the shorter side.
_RADII = (0.01, 0.015, 0.02, 0.03, 0.05)
_BLURRED_EACH, _OTHERS = 4, 10
# Of a sensor, in grey values.
_GRAIN = 4.0
_SCENE = (1000, 750)
_SHARES = (0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1)


def _pixels(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32)


def _image(pixels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def _blurred(share: float) -> Callable[[Image.Image, Random], Image.Image]:
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _dark(image: Image.Image, random: Random) -> Image.Image:
    return _image(_pixels(image) * random.uniform(0.03, 0.15))


def _bright(image: Image.Image, random: Random) -> Image.Image:
    return _image(255 - (255 - _pixels(image)) * random.uniform(0.03, 0.1))


def _low_contrast(image: Image.Image, random: Random) -> Image.Image:
    pixels = _pixels(image)
    return _image(pixels.mean() + (pixels - pixels.mean()) * random.uniform(0.03, 0.1))


def _tiny(image: Image.Image, random: Random) -> Image.Image:
    return image.resize((int(random.integers(8, 48)),) * 2, Image.Resampling.BICUBIC)


def _odd_aspect(image: Image.Image, _: Random) -> Image.Image:
    return image.crop((0, 0, image.width, image.width // 13))


def _one_colour(image: Image.Image, random: Random) -> Image.Image:
    slope = np.linspace(-3, 3, image.width)[np.newaxis, :, np.newaxis]
    return _image((random.uniform(20, 235, 3) + slope + np.zeros((image.height, 1, 1))).astype(np.float32))


# By name: the kind, how it is planted, and in how many photos.
Faults = Mapping[str, tuple[str, Callable[[Image.Image, Random], Image.Image], int]]
FAULTS: Faults = {
    **{f"blurred, {share:.1%} of the side": ("blurred", _blurred(share), _BLURRED_EACH) for share in _RADII},
    "dark": ("dark", _dark, _OTHERS),
    "bright": ("bright", _bright, _OTHERS),
    "low contrast": ("low_contrast", _low_contrast, _OTHERS),
    "tiny": ("tiny", _tiny, _OTHERS),
    "1:13": ("odd_aspect", _odd_aspect, _OTHERS),
    "one colour": ("one_colour", _one_colour, _OTHERS),
}


def as_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    """Returns a photo's file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def phone_scene(fruit: Image.Image, random: Random) -> Image.Image:
    """Returns a fruit on a textured ground in uneven light, of the size of a phone's photos.

    The ground has details of every scale. The fruit fills two fifths of the height, so that its own pixels are as
    large as those that the measures see.
    """
    width, height = _SCENE
    ground = np.zeros((height, width), np.float32)
    for octave in range(2, 10):
        grid = random.normal(size=(3 * 2**octave // 4, 2**octave)).astype(np.float32)
        ground += np.asarray(Image.fromarray(grid).resize(_SCENE, Image.Resampling.BICUBIC)) * 0.7**octave
    colour = random.uniform(60, 200, 3)
    scene = _image(colour + 40 * ground[:, :, np.newaxis] / ground.std())
    side = int(height * random.uniform(0.35, 0.45))
    large = fruit.resize((side, side), Image.Resampling.BICUBIC)
    mask = Image.fromarray((np.asarray(large).min(axis=2) < 235).astype(np.uint8) * 255)
    left, top = (int(random.uniform(0.2, 0.8) * (whole - side)) for whole in _SCENE)
    scene.paste(large, (left, top), mask.filter(ImageFilter.MedianFilter(5)))
    light = np.linspace(random.uniform(0.6, 1), random.uniform(0.6, 1), width)[np.newaxis, :, np.newaxis]
    return _image((_pixels(scene) * light).astype(np.float32)).resize(PHONE_SIZE, Image.Resampling.BICUBIC)


def as_phone_photo(scene: Image.Image, random: Random) -> bytes:
    """Returns what a phone's sensor makes of a scene: with grain, as JPEG."""
    grain = random.normal(0, _GRAIN, (scene.height, scene.width, 1)).astype(np.float32)
    return as_jpeg(_image(_pixels(scene) + grain), 88)


@dataclass(frozen=True)
class Way:
    """A way of taking photos.

    Attributes:
        name: Its name.
        scene_of: Returns what the camera sees.
        file_of: Returns the file that the camera writes.
    """

    name: str
    scene_of: Callable[[Image.Image, Random], Image.Image]
    file_of: Callable[[Image.Image, Random], bytes]


AS_THEY_ARE = Way("As they are", lambda image, _: image, lambda image, _: as_jpeg(image))
AS_A_PHONE = Way("As a phone takes them", phone_scene, as_phone_photo)


def planted(originals: Sequence[Image.Image], way: Way, random: Random) -> Iterator[tuple[str, str, Photo]]:
    """Yields the name of each planted fault, its kind, and a photo with it."""
    number = 0
    for name, (kind, plant, count) in FAULTS.items():
        for _ in range(count):
            scene = way.scene_of(originals[number % len(originals)], random)
            yield name, kind, decoded(way.file_of(plant(scene, random), random))
            number += 1


def rows_of(photos: Iterable[Photo]) -> pa.Table:
    """Returns the columns that flags are made of."""
    return pa.Table.from_pylist(
        [{"width": photo.width, "height": photo.height, **asdict(photo.measures)} for photo in photos]
    )


def decoded(file: bytes) -> Photo:
    """Returns a photo as a run decodes it."""
    return decode(file, DecodeLimits().max_pixels)


def report(name: str, good: Iterable[Photo], faulty: Sequence[tuple[str, str, Photo]]) -> Iterator[str]:
    """Yields the lines about the good and the faulty photos of a way."""
    thresholds, rows = FlagThresholds(), rows_of(good)
    found: dict[str, list[bool]] = defaultdict(list)
    flagged = flags_of(rows_of(photo for _, _, photo in faulty), thresholds)
    for (fault, kind, _), flags in zip(faulty, flagged, strict=True):
        found[fault].append(any(flag.kind == kind for flag in flags))
    yield f"\n{name}: {rows.num_rows:,} photos\n\n| planted | photos | found |\n|---|---|---|"
    yield from (f"| {fault} | {len(some)} | {sum(some)} |" for fault, some in found.items())
    falsely = Counter(flag.kind for flags in flags_of(rows, thresholds) for flag in flags)
    yield "\n| kind | threshold | good photos flagged |\n|---|---|---|"
    yield from (f"| {kind} | {getattr(thresholds, kind):g} | {falsely[kind]} |" for kind in FLAG_KINDS)
    yield "\n| share of good photos | " + " | ".join(f"{share:g}" for share in _SHARES) + " |"
    yield "|---|" + "---|" * len(_SHARES)
    for column in rows.column_names[2:]:
        values = np.quantile(rows[column].to_numpy(), _SHARES)
        yield f"| {column} | " + " | ".join(f"{value:.3g}" for value in values) + " |"


def cost(file: bytes, repeats: int) -> tuple[float, float]:
    """Returns the processor time of a photo in ms: decoding with measures, and the measures alone."""
    opened = Image.open(io.BytesIO(file))
    opened.draft(None, (448, 448))
    image = opened.convert("RGB")
    small = image.resize((224, 224), Image.Resampling.BICUBIC)

    def timed(run: Callable[[], object]) -> float:
        run()
        began = time.process_time()
        for _ in range(repeats):
            run()
        return (time.process_time() - began) / repeats * 1000

    return timed(lambda: decoded(file)), timed(lambda: measure(image, small))


@click.command()
@click.option("--images", required=True, type=click.Path(exists=True, path_type=Path), help="Photos in folders.")
@click.option("--phone-photos", default=40, show_default=True, help="Good photos made as a phone takes them.")
def main(images: Path, phone_photos: int) -> None:
    """Measure the flags of quality on photos with and without planted faults."""
    random, files = np.random.default_rng(0), sorted(images.rglob("*.jpg"))
    originals = [Image.open(file).convert("RGB") for file in random.permutation(np.array(files, object))]
    good = (decoded(file.read_bytes()) for file in files)
    click.echo("\n".join(report(AS_THEY_ARE.name, good, list(planted(originals, AS_THEY_ARE, random)))))
    phone = (as_phone_photo(phone_scene(one, random), random) for one in originals[:phone_photos])
    faulty = list(planted(originals, AS_A_PHONE, random))
    click.echo("\n".join(report(AS_A_PHONE.name, map(decoded, phone), faulty)))
    click.echo("\n| photo | ms of processor time: decoding and measures | measures alone |\n|---|---|---|")
    for name, file, repeats in (
        (f"{files[0].name}, {originals[0].width} x {originals[0].height}", files[0].read_bytes(), 500),
        (f"{PHONE_SIZE[0]} x {PHONE_SIZE[1]}", as_phone_photo(phone_scene(originals[0], random), random), 20),
    ):
        both, alone = cost(file, repeats)
        click.echo(f"| {name} | {both:.2f} | {alone:.2f} |")


if __name__ == "__main__":
    main()
