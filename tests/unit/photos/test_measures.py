"""Measures of quality: each follows what it is named for, and nothing else; small photos compare with large ones."""

from dataclasses import astuple

import numpy as np
import pytest
from PIL import Image, ImageFilter

from spark_steps.photos.decoding import decode
from spark_steps.photos.measures import MEASURED_SIDE, Measures, measure
from tests.support.photo_corpus import MAX_PIXELS, encoded

WHITE = (255, 255, 255)
# By how much the sharpness of a photo may differ in another size: edges take a greater share of fewer pixels.
SIZE_FACTOR = 3.0


def scene(width: int = 1200, height: int = 900) -> Image.Image:
    """A picture with a texture of every scale, and sharp discs on it."""
    random = np.random.default_rng(0)
    texture = np.zeros((900, 1200), np.float32)
    for octave in range(2, 10):
        grid = random.normal(size=(3 * 2**octave // 4, 2**octave)).astype(np.float32)
        texture += np.asarray(Image.fromarray(grid).resize((1200, 900))) * 0.7**octave
    pixels = 120 + 30 * texture[:, :, np.newaxis] / texture.std() + np.zeros(3)
    y, x = np.mgrid[:900, :1200]
    for colour, left, top, radius in (((200, 30, 30), 400, 300, 180), ((240, 220, 40), 850, 600, 240)):
        pixels[(x - left) ** 2 + (y - top) ** 2 < radius**2] = colour
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BOX)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (50, 40)) -> Image.Image:
    return Image.new("RGB", size, colour)


def changed(image: Image.Image, factor: float, towards: float) -> Image.Image:
    pixels = towards + (np.asarray(image, float) - towards) * factor
    return Image.fromarray(pixels.round().astype(np.uint8))


def halves() -> Image.Image:
    """Half black, half white."""
    image = plain((0, 0, 0))
    image.paste(WHITE, (0, 0, 25, 40))
    return image


@pytest.mark.parametrize("size", [(100, 75), (300, 225), (1200, 900)])
def test_sharpness_falls_with_every_radius_of_a_blur(size: tuple[int, int]) -> None:
    sharp = scene(*size)
    # Beyond these, rounding to 256 levels outweighs what is left of the details.
    radii = [share * min(size) for share in (0.005, 0.0075, 0.01, 0.015)]
    found = [measure(image).sharpness for image in (sharp, *(sharp.filter(ImageFilter.GaussianBlur(r)) for r in radii))]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert found[-1] < found[0] / 8


def test_a_dull_photo_is_as_sharp_as_a_vivid_one_and_a_flat_one_is_not_sharp() -> None:
    sharp = scene(200, 150)
    assert measure(changed(sharp, 0.3, 128)).sharpness == pytest.approx(measure(sharp).sharpness, rel=0.05)
    assert measure(plain((90, 90, 90))).sharpness == 0


def test_brightness_is_the_mean_luma_of_bt_601() -> None:
    expected = {WHITE: 1, (0, 0, 0): 0, (255, 0, 0): 0.299, (0, 255, 0): 0.587, (0, 0, 255): 0.114}
    for colour, brightness in expected.items():
        assert measure(plain(colour)).brightness == pytest.approx(brightness, abs=0.002)
    assert measure(halves()).brightness == 0.5


def test_brightness_rises_with_the_light() -> None:
    found = [measure(changed(scene(200, 150), light, 0)).brightness for light in (0.1, 0.3, 0.6, 1)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(found[-1] * 0.1, abs=0.01)


def test_contrast_is_that_of_most_pixels() -> None:
    assert measure(halves()).contrast == 1
    speck = plain((100, 100, 100))
    speck.paste(WHITE, (0, 0, 4, 4))
    assert measure(speck).contrast == 0
    speck.paste(WHITE, (0, 0, 10, 10))
    assert measure(speck).contrast == pytest.approx(155 / 255)


def test_contrast_falls_as_a_photo_turns_grey() -> None:
    found = [measure(changed(scene(200, 150), factor, 128)).contrast for factor in (1, 0.5, 0.2, 0.05)]
    assert found == sorted(found, reverse=True)
    assert found[2] == pytest.approx(found[0] * 0.2, abs=0.02)


def test_a_photo_of_one_colour_has_no_spread_and_one_without_colours_has_that_of_its_greys() -> None:
    for colour in (WHITE, (0, 0, 0), (200, 30, 30), (17, 99, 201)):
        assert measure(plain(colour)).colour_spread == 0
    assert measure(halves()).colour_spread == pytest.approx(np.sqrt(3) / 2)
    red_and_green = plain((130, 0, 0))
    red_and_green.paste((0, 66, 0), (0, 0, 25, 40))
    assert measure(red_and_green).contrast < 0.02
    assert measure(red_and_green).colour_spread > 0.2


@pytest.mark.parametrize("width", [100, 160, 224, 400, 700])
def test_a_photo_has_about_the_same_measures_in_every_size(width: int) -> None:
    large, small = measure(scene()), measure(scene(width, width * 3 // 4))
    assert small.brightness == pytest.approx(large.brightness, abs=0.01)
    assert small.contrast == pytest.approx(large.contrast, abs=0.05)
    assert small.colour_spread == pytest.approx(large.colour_spread, abs=0.02)
    assert large.sharpness / SIZE_FACTOR < small.sharpness < large.sharpness * SIZE_FACTOR


def test_a_small_photo_is_measured_before_it_is_enlarged_for_the_network() -> None:
    image = scene(100, 75)
    photo = decode(encoded(image, "PNG"), MAX_PIXELS)
    assert photo.measures == measure(image)
    assert photo.measures.sharpness > 3 * measure(Image.fromarray(photo.pixels)).sharpness


def test_a_large_photo_is_measured_as_the_network_sees_it() -> None:
    photo = decode(encoded(scene(), "JPEG", quality=95), MAX_PIXELS)
    assert photo.measures == measure(Image.fromarray(photo.pixels))


def test_pixels_that_were_resized_are_measured_where_nothing_was_enlarged_and_no_detail_is_lost() -> None:
    # Whether the other image was measured shows in its colour.
    side, other = MEASURED_SIDE, (255, 0, 0)
    for size, resized, is_taken in (
        ((400, 300), (side, side), True),
        ((400, 300), (299, 299), True),
        ((side, side), (side, side), True),
        ((400, 300), (96, 96), False),
        ((100, 75), (side, side), False),
        ((400, 100), (side, side), False),
    ):
        found = measure(plain(WHITE, size), plain(other, resized))
        assert found.brightness == pytest.approx(0.299 if is_taken else 1, abs=0.002), (size, resized)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (1, 3000), (5000, 2), (3000, 40)])
def test_photos_of_every_shape_are_measured(size: tuple[int, int]) -> None:
    found = measure(scene().resize(size))
    assert all(np.isfinite(astuple(found)))
    assert 0 <= found.brightness <= 1
    if min(size) < 3:
        assert found.sharpness == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_measures_do_not_depend_on_the_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = scene(120, 90)
    turned = decode(encoded(image, "PNG", exif=exif), MAX_PIXELS).measures
    assert astuple(turned) == pytest.approx(astuple(measure(image)))


def test_transparent_pixels_count_as_white_and_grey_photos_are_measured_too() -> None:
    clear = Image.new("RGBA", (50, 40), (10, 200, 30, 0))
    assert decode(encoded(clear, "PNG"), MAX_PIXELS).measures == Measures(1.0, 0.0, 0.0, 0.0)
    grey = scene(100, 75).convert("L")
    assert decode(encoded(grey, "PNG"), MAX_PIXELS).measures == measure(grey.convert("RGB"))
