"""Measures of a photo's quality, taken while its pixels are in memory, so that no photo is read a second time.

All are taken on one scale, on which no side has more than 224 pixels; the network sees photos on that scale too. A
longer side is reduced, which also averages the noise of the sensor. A shorter one is never enlarged, which would blur
it. So a photo of a phone and one of 100 x 100 pixels can be compared.

They do not depend on the photo's orientation. The rows of a store are measured alike as long as they have the same
``PREPROCESSING`` (``decoding.py``): change it with the definitions here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEASURED_SIDE = 224
_LEVELS = np.arange(256)
_PERCENTILES = np.array([0.01, 0.99])


@dataclass(frozen=True)
class Measures:
    """Measures of a photo; luma is that of ITU-R BT.601.

    Attributes:
        brightness: Mean luma, from 0 (black) to 1 (white).
        contrast: Distance of the 1st and the 99th percentile of the luma, from 0 to 1, as in ``is_low_contrast`` of
            scikit-image.
        sharpness: Variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy:
            a comparative study") divided by the variance of the luma: 20 for white noise, at most 64. Without the
            division a dull photo would count as blurred. 0 for a photo of one luma, and for a side of less than 3
            pixels.
        colour_spread: Root mean square distance of the pixels to their mean colour in RGB, from 0 (one colour) to 0.87:
            the second moments of the colours (Stricker and Orengo 1995, "Similarity of color images").
    """

    brightness: float
    contrast: float
    sharpness: float
    colour_spread: float


def on_scale(image: Image.Image, resized: Image.Image | None = None) -> Image.Image:
    """Returns a photo on the scale of the measures.

    Args:
        image: The photo, of any size.
        resized: The same photo in another size. It is taken where nothing in it was enlarged and no side is below the
            scale, which saves reducing a large photo twice.
    """
    if resized is not None and all(
        MEASURED_SIDE <= after <= before for before, after in zip(image.size, resized.size, strict=True)
    ):
        image = resized
    width, height = (min(side, MEASURED_SIDE) for side in image.size)
    if image.size == (width, height):
        return image
    # The gap lets Pillow average whole pixels first, which is faster.
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)


def measure(image: Image.Image, resized: Image.Image | None = None) -> Measures:
    """Measures a photo.

    Args:
        image: The photo, of any size; RGB, or of a mode that Pillow converts to it.
        resized: See ``on_scale``.
    """
    image = on_scale(image, resized).convert("RGB")
    grey = image.convert("L")
    luma = _histograms(grey)
    (mean,), (variance,) = _moments(luma)
    low, high = np.searchsorted(luma[0].cumsum(), _PERCENTILES * luma[0].sum())
    _, variances = _moments(_histograms(image))
    return Measures(
        brightness=float(mean) / 255,
        contrast=float(high - low) / 255,
        sharpness=_variance_of_laplacian(grey) / float(variance) if variance else 0.0,
        colour_spread=float(np.sqrt(variances.sum())) / 255,
    )


def _histograms(image: Image.Image) -> NDArray[np.int64]:
    """Returns the number of pixels of each level, of shape (bands, 256)."""
    return np.array(image.histogram()).reshape(-1, 256)


def _moments(histograms: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the mean and the variance of each band."""
    pixels = histograms[0].sum()
    means = histograms @ _LEVELS / pixels
    # The sums are whole numbers: those of one level give exactly 0.
    return means, histograms @ _LEVELS**2 / pixels - means**2


def _variance_of_laplacian(grey: Image.Image) -> float:
    levels = np.asarray(grey).astype(np.int16)
    if min(levels.shape) < 3:
        return 0.0
    response = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * levels[1:-1, 1:-1]
    return float(response.astype(np.float32).var())
