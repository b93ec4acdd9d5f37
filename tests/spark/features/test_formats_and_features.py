"""The features of one picture in several formats and colour spaces: nearly the same, whatever a phone saves."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.weights import MobileNetModel
from spark_steps.photos.decoding import decode
from spark_steps.photos.formats.profiles import ADOBE_RGB, DISPLAY_P3, gamma, matrix_profile, srgb_curve
from tests.support.formats.heif_files import avif, heic
from tests.support.photo_corpus import MAX_PIXELS, encoded
from tests.support.project import SHARED_DATA

P3 = matrix_profile(DISPLAY_P3, srgb_curve)
ADOBE = matrix_profile(ADOBE_RGB, gamma(563 / 256))
LEAST_COSINE = 0.99
QUALITY: dict[str, Any] = {"quality": 92}


def bright_fruits(side: int = 480) -> Image.Image:
    """Returns round things of full colours, in which Display P3 and sRGB differ most, on a table in shadow."""
    y, x = np.mgrid[0:side, 0:side] / side
    pixels = np.stack([70 + 60 * y, 60 + 40 * x, 50 + 30 * (x + y)], axis=2)
    places = ((0.3, 0.3, 0.22, (250, 40, 20)), (0.7, 0.35, 0.2, (30, 200, 40)), (0.45, 0.72, 0.24, (255, 150, 0)))
    for across, down, radius, colour in places:
        distance = np.hypot(x - across, y - down) / radius
        light = (1 - 0.5 * distance**2)[:, :, None] * np.array(colour)
        pixels = np.where((distance < 1)[:, :, None], light, pixels)
    noise = np.random.default_rng(3).normal(scale=3, size=pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def in_space(picture: Image.Image, profile: bytes) -> Image.Image:
    """Returns the numbers that the colours of an sRGB picture have in another space."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    found = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), target)
    assert found is not None
    return found


def variants(picture: Image.Image) -> dict[str, bytes]:
    """Returns the files that must have the features of the sRGB JPEG."""
    wide, adobe = in_space(picture, P3), in_space(picture, ADOBE)
    return {
        "HEIC": heic(picture, **QUALITY),
        "HEIC in tiles": heic(picture, tile_size=256, **QUALITY),
        "AVIF": avif(picture, **QUALITY),
        "P3 JPEG": encoded(wide, "JPEG", icc_profile=P3, **QUALITY),
        "P3 HEIC": heic(wide, icc_profile=P3, **QUALITY),
        "P3 AVIF": avif(wide, icc_profile=P3, **QUALITY),
        "Adobe RGB JPEG": encoded(adobe, "JPEG", icc_profile=ADOBE, **QUALITY),
    }


def cosines(model: MobileNetModel, picture: Image.Image) -> dict[str, float]:
    """Returns the cosines of features to those of the sRGB JPEG; what has no profile is "unconverted"."""
    network = FeatureExtractor(model.flatbuffer)

    def features(data: bytes) -> np.ndarray:
        found = np.asarray(network.extract(decode(data, MAX_PIXELS)), np.float64)
        return found / np.linalg.norm(found)

    expected = features(encoded(picture, "JPEG", **QUALITY))
    files = variants(picture)
    files["P3 unconverted"] = encoded(in_space(picture, P3), "JPEG", **QUALITY)
    files["Adobe RGB unconverted"] = encoded(in_space(picture, ADOBE), "JPEG", **QUALITY)
    return {name: float(features(data) @ expected) for name, data in files.items()}


def assert_alike(found: dict[str, float]) -> dict[str, float]:
    """Returns the cosines of what is not converted, the only ones that may be low."""
    unconverted = {name: found.pop(name) for name in list(found) if "unconverted" in name}
    assert min(found.values()) >= LEAST_COSINE, found
    return unconverted


def test_with_random_weights_every_format_is_nearer_to_the_srgb_jpeg_than_unconverted_colours(
    network: MobileNetModel,
) -> None:
    found = cosines(network, bright_fruits())
    unconverted = assert_alike(found)
    assert max(unconverted.values()) < min(found.values())


@pytest.mark.parametrize("label", ["Strawberry", "Orange", "Limes"])
def test_with_real_weights_a_photo_has_its_features_in_every_format_and_would_not_have_them_unconverted(
    real_network: MobileNetModel, label: str
) -> None:
    file = sorted((SHARED_DATA / "fruits360" / label).glob("*.jpg"))[0]
    with Image.open(file) as photo:
        picture = photo.convert("RGB").resize((480, 480), Image.Resampling.BICUBIC)
    unconverted = assert_alike(cosines(real_network, picture))
    assert max(unconverted.values()) < LEAST_COSINE, unconverted
