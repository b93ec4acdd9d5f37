"""Writes ICC profiles of RGB colours: three primaries, a white, and a curve."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Chromaticities = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

_D65 = (0.3127, 0.3290)
_BT_709: Chromaticities = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_BT_2020: Chromaticities = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
DISPLAY_P3: Chromaticities = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65)
ADOBE_RGB: Chromaticities = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65)
# By ITU-T H.273. Those of television before HDTV differ little from BT.709 and are left alone.
_PRIMARIES = {9: _BT_2020, 11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)), 12: DISPLAY_P3}
# The white that profiles refer to, and the matrix of Bradford's adaptation to it.
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CURVE_POINTS = 4096
# Luminance of white in candela per square metre, by ITU-R BT.2408, in the two curves of HDR.
_HDR_WHITE, _HLG_PEAK = 203.0, 1000.0


def srgb_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the light of sRGB's values from 0 to 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def gamma(exponent: float) -> Curve:
    """Returns the curve of a power."""
    return lambda values: values**exponent


def _pq_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns light by SMPTE ST 2084; what is brighter than white is white."""
    root = values ** (32 / 2523)
    light = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
    return np.minimum(light / _HDR_WHITE, 1)


def _hlg_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns light by ITU-R BT.2100 on a screen of 1,000 candela; what is brighter than white is white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return np.minimum(_HLG_PEAK * scene**1.2 / _HDR_WHITE, 1)


# By ITU-T H.273. The curves of television are shown as sRGB's by browsers and phones, and are left alone.
_CURVES: dict[int, Curve] = {4: gamma(2.2), 5: gamma(2.8), 8: gamma(1.0), 16: _pq_curve, 18: _hlg_curve}


def profile_of_numbers(primaries: int, transfer: int) -> bytes | None:
    """Returns the profile of colours that are named by numbers, None where that is sRGB, or about.

    Args:
        primaries: ColourPrimaries of ITU-T H.273.
        transfer: TransferCharacteristics of ITU-T H.273.
    """
    if primaries not in _PRIMARIES and transfer not in _CURVES:
        return None
    return matrix_profile(_PRIMARIES.get(primaries, _BT_709), _CURVES.get(transfer, srgb_curve))


def matrix_profile(chromaticities: Chromaticities, curve: Curve) -> bytes:
    """Returns an ICC profile of version 2.

    Args:
        chromaticities: x and y of red, green, blue and white.
        curve: The light of values from 0 to 1.
    """
    points = np.round(curve(np.linspace(0, 1, _CURVE_POINTS)) * 65_535).astype(">u2").tobytes()
    tags = {
        b"wtpt": _xyz_tag(_D50),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz_tag, _colorants(chromaticities).T), strict=True)),
        b"rTRC": struct.pack(">4s4xI", b"curv", _CURVE_POINTS) + points,
    }
    place = 128 + 4 + 12 * (len(tags) + 2)
    directory, content = b"", b""
    for name, tag in tags.items():
        # The three colours have one curve.
        for shared in (name, b"gTRC", b"bTRC") if name == b"rTRC" else (name,):
            directory += struct.pack(">4sII", shared, place + len(content), len(tag))
        content += tag
    size = place + len(content)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + _xyz(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags) + 2) + directory + content


def _colorants(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """Returns the colours X, Y and Z of full red, green and blue as columns, adapted to D50."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in chromaticities]).T
    primaries, white = columns[:, :3], columns[:, 3]
    scaled = primaries * np.linalg.solve(primaries, white)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ scaled)


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _xyz(values)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return struct.pack(">3i", *(round(float(value) * 65_536) for value in values))
