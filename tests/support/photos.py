"""Photos that the tests make."""

from pathlib import Path

import numpy as np
from PIL import Image


def save_photo(path: Path, colour: int = 0, size: tuple[int, int] = (60, 40), **options: object) -> Path:
    """Writes a photo with a gradient, in the format of the path's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([x, y, np.full_like(x, colour % 256)], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path
