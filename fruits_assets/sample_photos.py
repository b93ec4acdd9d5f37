"""Generated photos of fruits, for trials without photos of one's own; equal for the same seed."""

import colorsys
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spark_steps.errors import FruitsError
from spark_steps.storage.locations import normalise, write_bytes

SIDE = 100
# Hue (degrees), saturation, value, width and height (share of the frame), spots of another hue (or none).
_FRUITS: dict[str, tuple[float, float, float, float, float, float | None]] = {
    "Apple Red": (355, 0.80, 0.75, 0.78, 0.74, 40),
    "Apple Green": (85, 0.65, 0.75, 0.76, 0.74, None),
    "Banana": (50, 0.75, 0.92, 0.90, 0.38, 30),
    "Blueberry": (235, 0.45, 0.45, 0.56, 0.55, None),
    "Lemon": (56, 0.80, 0.95, 0.82, 0.62, None),
    "Orange": (28, 0.90, 0.95, 0.74, 0.74, 20),
    "Plum": (290, 0.55, 0.40, 0.62, 0.70, None),
    "Watermelon": (110, 0.60, 0.45, 0.92, 0.84, 95),
}


def write_sample(directory: Path, photos_per_folder: int = 24, seed: int = 0) -> int:
    """Writes 100 x 100 JPEG photos of eight fruits, a folder for each fruit, and returns the number of photos.

    A file that exists with the same bytes is not written again, so that its features need not be computed again.

    Args:
        directory: The images root to make.
        photos_per_folder: Photos of each fruit.
        seed: Seed of the random numbers; each seed gives different photos.

    Raises:
        FruitsError: The directory holds another file of the same name.
    """
    for number, name in enumerate(sorted(_FRUITS)):
        (directory / name).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng([seed, number])
        for index in range(photos_per_folder):
            _write_new(directory / name / f"{index:03d}.jpg", _photo(name, random))
    return len(_FRUITS) * photos_per_folder


def _write_new(file: Path, pixels: NDArray[np.uint8]) -> None:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="jpeg", quality=90)
    if not file.exists():
        # Whole or not at all: a part would be another photo to the next call, which replaces none.
        write_bytes(normalise(str(file)), encoded.getvalue())
    elif file.read_bytes() != encoded.getvalue():
        raise FruitsError(f"{file} is another photo, and is not replaced. Give a new folder for the generated photos.")


def _photo(name: str, random: np.random.Generator) -> NDArray[np.uint8]:
    hue, saturation, value, width, height, spots = _FRUITS[name]
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    x, y = x - random.uniform(-0.08, 0.08), y - random.uniform(-0.08, 0.08)
    turn = random.uniform(0, 2 * np.pi)
    across, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    size = random.uniform(0.85, 1.0)
    distance = np.sqrt((across / (width * size)) ** 2 + (down / (height * size)) ** 2)
    fruit = np.array(colorsys.hsv_to_rgb((hue + random.normal(0, 4)) % 360 / 360, saturation, value))
    picture = np.ones((SIDE, SIDE, 3)) * random.uniform(0.94, 1.0)
    inside = distance < 1
    picture[inside] = fruit
    if spots is not None:
        other = np.array(colorsys.hsv_to_rgb(spots / 360, saturation, value))
        marks = (np.sin(9 * across + random.uniform(0, 6)) * np.cos(7 * down + random.uniform(0, 6)) > 0.55) & inside
        picture[marks] = 0.5 * fruit + 0.5 * other
    # Light from the upper left, and the noise of a camera sensor.
    light = 1.1 - 0.55 * distance**2 + 0.25 * np.exp(-8 * ((x + 0.3) ** 2 + (y + 0.35) ** 2))
    picture[inside] *= light[inside, np.newaxis]
    picture += random.normal(0, 0.015, picture.shape)
    return (picture.clip(0, 1) * 255).astype(np.uint8)
