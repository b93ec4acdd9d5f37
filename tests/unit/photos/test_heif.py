"""HEIC and AVIF: the picture that is shown, upright, in its colours, and nothing else of the file."""

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.studies.pixels.files import ORIENTATIONS, exif_of, stored_for
from spark_steps.errors import UnusablePhotoError
from spark_steps.photos.decoding import Photo, decode
from tests.support.formats.heif_files import (
    HIDDEN,
    Part,
    avif,
    box,
    full_box,
    grid,
    heic,
    heif,
    part_of,
    reference,
    size_of,
)
from tests.support.photo_corpus import MAX_PIXELS, encoded, picture

WIDTH, HEIGHT = 192, 128
PICTURE = picture(WIDTH, HEIGHT)
OTHER = Image.new("RGB", (WIDTH, HEIGHT), (20, 200, 60))
LOSSLESS: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
WRITERS = {"HEIF": heic, "AVIF": avif}


def decoded(data: bytes) -> Photo:
    return decode(data, MAX_PIXELS)


def assert_shows(data: bytes, shown: Image.Image, within: int = 8) -> None:
    photo = decoded(data)
    assert (photo.width, photo.height) == shown.size
    expected = decoded(encoded(shown, "PNG")).pixels.astype(np.int16)
    assert np.abs(photo.pixels - expected).max() <= within


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_photo_has_its_pixels_and_its_format_is_known_by_its_bytes(file_format: str) -> None:
    data = WRITERS[file_format](PICTURE, quality=95, chroma=444, subsampling="4:4:4")
    assert_shows(data, PICTURE)
    assert decoded(data).format == file_format


@pytest.mark.parametrize("file_format", WRITERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_photo_is_turned_upright_once(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.asarray(stored_for(orientation, np.asarray(PICTURE))))
    assert_shows(WRITERS[file_format](stored, quality=95, exif=exif), PICTURE, within=24)


def test_a_heic_whose_exif_says_its_orientation_too_is_turned_once_and_exif_alone_turns_nothing() -> None:
    """As phones write it: the property of the file counts, and EXIF repeats it."""
    stored = Image.fromarray(np.asarray(stored_for(6, np.asarray(PICTURE))))
    metadata = Part(b"Exif", bytes(4) + exif_of(6))
    # Turned by 270 degrees against the clock.
    turned = part_of(heic(stored, quality=95), box(b"irot", b"\3"))
    assert_shows(heif([turned, metadata], [reference(b"cdsc", 2, [1])]), PICTURE, within=24)
    upright = part_of(heic(PICTURE, quality=95))
    assert_shows(heif([upright, metadata], [reference(b"cdsc", 2, [1])]), PICTURE, within=24)


def test_of_a_burst_the_primary_picture_is_taken() -> None:
    data = heic(OTHER, quality=95, save_all=True, append_images=[PICTURE, OTHER], primary_index=1)
    assert_shows(data, PICTURE, within=24)


def test_of_an_animated_avif_the_first_picture_is_taken() -> None:
    data = avif(PICTURE, quality=95, save_all=True, append_images=[OTHER] * 3)
    assert data[8:12] == b"avis"
    assert_shows(data, PICTURE, within=24)


def test_of_a_film_with_a_still_picture_the_still_one_is_taken() -> None:
    film = avif(OTHER, save_all=True, append_images=[OTHER])
    tables = film[film.index(b"moov") - 4 :]
    tables = tables[: struct.unpack(">I", tables[:4])[0]]
    data = heif([part_of(avif(PICTURE, quality=95))], brands=(b"avis", b"avif", b"mif1"), more=tables)
    assert_shows(data, PICTURE, within=24)


def test_a_heic_in_tiles_as_iphones_write_it_is_one_picture() -> None:
    assert_shows(heic(PICTURE, quality=95, tile_size=64), PICTURE, within=24)


def of_bits(bits: int) -> bytes:
    buffer = io.BytesIO()
    deep = np.asarray(PICTURE).astype(np.uint16) * 257
    options: dict[str, Any] = {"save_to_12bit": bits == 12}
    pillow_heif.register_heif_opener(**options)
    try:
        pillow_heif.encode("RGB;16", PICTURE.size, deep.tobytes(), buffer, quality=95)
    finally:
        pillow_heif.register_heif_opener(save_to_12bit=False)
    return buffer.getvalue()


@pytest.mark.parametrize("bits", [10, 12])
def test_a_heic_of_more_than_8_bits_is_as_bright_as_one_of_8(bits: int) -> None:
    assert pillow_heif.open_heif(of_bits(bits)).info["bit_depth"] == bits
    assert_shows(of_bits(bits), PICTURE, within=24)


@pytest.mark.parametrize("file_format", WRITERS)
def test_grey_is_grey_and_transparency_is_laid_on_white(file_format: str) -> None:
    grey = PICTURE.convert("L")
    assert_shows(WRITERS[file_format](grey, quality=95), grey.convert("RGB"), within=12)
    half = PICTURE.copy()
    half.putalpha(Image.fromarray(np.repeat([[0] * (WIDTH // 2) + [255] * (WIDTH // 2)], HEIGHT, 0).astype(np.uint8)))
    pixels = decoded(WRITERS[file_format](half, quality=95)).pixels
    assert (pixels[:, :100] > 245).all()
    assert np.abs(pixels[:, 124:] - decoded(encoded(PICTURE, "PNG")).pixels[:, 124:].astype(np.int16)).max() <= 24


def test_depth_gain_maps_and_thumbnails_are_not_decoded() -> None:
    """They are broken here: decoding one would fail."""
    main = part_of(heic(PICTURE, quality=95))
    broken = [Part(b"hvc1", b"broken", [*main.properties[:1], size_of(512, 448)], HIDDEN) for _ in range(2)]
    depth = Part(
        b"hvc1",
        b"broken",
        [*main.properties[:1], size_of(96, 64), full_box(b"auxC", b"urn:mpeg:hevc:2015:auxid:2\0")],
        HIDDEN,
    )
    references = [reference(b"thmb", number, [1]) for number in (2, 3)] + [reference(b"auxl", 4, [1])]
    assert_shows(heif([main, *broken, depth], references), PICTURE, within=24)


def test_the_codec_decides_who_reads_a_file_and_not_its_first_brand() -> None:
    for main in (part_of(heic(PICTURE, quality=95)), part_of(avif(PICTURE, quality=95))):
        for first in (b"mif1", b"heic", b"avif", b"miaf"):
            assert_shows(heif([main], brands=(first, b"mif1", b"heic", b"avif")), PICTURE, within=24)


def test_what_a_phone_appends_that_is_no_box_does_no_harm() -> None:
    for more in (b"SEFH" + bytes(range(1, 90)), bytes(8), box(b"mpvd", b"a film")):
        assert_shows(heic(PICTURE, quality=95) + more, PICTURE, within=24)


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(UnusablePhotoError) as refused:
        decode(data, max_pixels)
    return str(refused.value)


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_photo_that_is_cut_off_says_so(file_format: str) -> None:
    data = WRITERS[file_format](PICTURE, quality=95)
    for kept in (len(data) - 1, len(data) // 2, 100, 40):
        assert refusal(data[:kept]).startswith("truncated: ")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (box(b"ftyp", b"heic", bytes(4), b"heic") + box(b"moov"), "a film or another file without a still picture"),
        (heif([Part(b"iovl", bytes(20))]), "a HEIF whose picture is stored as 'iovl'"),
        (heif([Part(b"jpeg", encoded(PICTURE, "JPEG"), [size_of(WIDTH, HEIGHT)])]), "stored as 'jpeg'"),
        (b"\xff\x0a" + bytes(50), "a JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "a JPEG XL"),
    ],
    ids=["film", "overlay", "JPEG", "JPEG XL", "JPEG XL in boxes"],
)
def test_a_kind_that_is_not_supported_is_refused_by_its_name(data: bytes, kind: str) -> None:
    assert refusal(data) == f"not supported: it is {kind}. Save it in another form" or kind in refusal(data)


def test_a_film_called_heic_is_no_image() -> None:
    assert refusal(box(b"ftyp", b"isom", bytes(4), b"mp42") + box(b"mdat", bytes(90))).startswith("not an image")


def tile(side: int = 64) -> Part:
    return part_of(heic(Image.new("RGB", (side, side), (90, 120, 30)), quality=50))


def test_a_photo_above_half_of_the_limit_is_refused_before_it_is_decoded() -> None:
    for data in (of_bits(10), of_bits(12), heic(PICTURE, chroma=444), heic(PICTURE, chroma=422), avif(PICTURE)):
        assert refusal(data, 2 * WIDTH * HEIGHT - 1).startswith("decompression bomb")
        assert decode(data, 2 * WIDTH * HEIGHT).width == WIDTH


def test_a_heic_of_8_bits_counts_once_and_with_transparency_four_times() -> None:
    grey = PICTURE.convert("L")
    for data in (heic(PICTURE), heic(grey), heic(PICTURE, tile_size=64)):
        assert refusal(data, WIDTH * HEIGHT - 1).startswith("decompression bomb")
        assert decode(data, WIDTH * HEIGHT).width == WIDTH
    clear = heic(PICTURE.convert("RGBA"))
    assert refusal(clear, 4 * WIDTH * HEIGHT - 1).startswith("decompression bomb")
    assert decode(clear, 4 * WIDTH * HEIGHT).width == WIDTH


def test_the_size_that_counts_is_that_of_the_coded_picture() -> None:
    for data in (heic(PICTURE), avif(PICTURE)):
        part = part_of(data)
        small = [one for one in part.properties if one[4:8] != b"ispe"]
        lying = heif([Part(part.kind, part.data, [*small, size_of(8, 8)])])
        assert refusal(lying, 1000).startswith("decompression bomb: a picture of ")


def test_many_pictures_in_one_stream_are_counted() -> None:
    for data, largest in ((heic(PICTURE), WIDTH * HEIGHT), (avif(PICTURE), WIDTH * HEIGHT)):
        part = part_of(data)
        assert decode(heif([part]), 2 * largest).width == WIDTH
        message = refusal(heif([Part(part.kind, part.data * 5, part.properties)]), 2 * largest)
        assert message.startswith(f"decompression bomb: {5 * largest} pixels with all tiles")


def test_a_grid_that_names_one_tile_again_and_again_is_refused() -> None:
    shown = Part(b"grid", grid(256, 256, 100, 100), [size_of(100, 100)])
    many = heif([shown, tile()], [reference(b"dimg", 1, [2] * 9_000)])
    assert refusal(many, 10_000_000).startswith("decompression bomb: 36874000 pixels with all tiles")
    long_tile = Part(b"hvc1", tile().data + struct.pack(">I", 50_000) + b"\x4e\x01" + bytes(49_998), tile().properties)
    assert "the same bytes again and again" in refusal(heif([shown, long_tile], [reference(b"dimg", 1, [2] * 16)]))


def test_a_canvas_above_the_limit_is_refused() -> None:
    shown = Part(b"grid", grid(1, 1, 60_000, 60_000), [size_of(100, 100)])
    assert refusal(heif([shown, tile()], [reference(b"dimg", 1, [2])])).startswith("decompression bomb")


def test_pictures_made_of_one_another_are_damaged() -> None:
    circle = [Part(b"iden", b"", [size_of(9, 9)]), Part(b"iden", b"", [size_of(9, 9)])]
    references = [reference(b"dimg", 1, [2]), reference(b"dimg", 2, [1])]
    assert refusal(heif(circle, references)) == "damaged: it cannot be decoded: its pictures are made of one another"


def test_tables_without_end_are_refused() -> None:
    for data in (
        heif([tile(), *[Part(b"hvc1", b"")] * 9_000]),
        heif([tile()], [reference(b"thmb", 1, [1] * 17_000)]),
        heif([tile()], more=box(b"free") * 17_000),
        heif([Part(b"av01", b"\x12\0" * 17_000)]),
        heif([Part(b"hvc1", b"\0\0\0\2\x4e\1" * 17_000, tile().properties)]),
    ):
        assert refusal(data) == "decompression bomb: its tables have more than 16384 entries"


def test_metadata_that_is_copied_for_many_pictures_is_refused() -> None:
    parts = [tile(), *[Part(b"hvc1", b"")] * 40, Part(b"Exif", bytes(1024 * 1024))]
    data = heif(parts, [reference(b"cdsc", len(parts), list(range(1, len(parts))))])
    assert refusal(data).startswith("decompression bomb: its pictures have ")


def test_an_item_whose_place_is_named_many_times_is_refused() -> None:
    shown = tile()
    data = heif([Part(b"hvc1", shown.data, shown.properties, extents=9_000)])
    assert refusal(data) == "decompression bomb: an item has more bytes than the file"


def test_two_tables_of_which_decoders_take_either_are_damaged() -> None:
    data = heic(PICTURE)
    start = data.index(b"meta") - 4
    tables = data[start : start + struct.unpack(">I", data[start : start + 4])[0]]
    assert refusal(data + tables) == "damaged: it cannot be decoded: it has two tables of items"


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    return decoded(data).pixels


def test_a_picture_without_loss_has_exactly_its_pixels() -> None:
    np.testing.assert_array_equal(pixels_of(heic(PICTURE, **LOSSLESS)), pixels_of(encoded(PICTURE, "PNG")))
