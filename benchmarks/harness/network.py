"""The converted network and the photos without Spark, for contenders that have an engine of their own.

Decoding is the product's own (``spark_steps.photos.decoding``), so that they differ in the engine alone. This module is
imported where pyspark is not installed.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spark_steps.features.network import network_input
from spark_steps.photos.decoding import SIDE, decode
from spark_steps.photos.standard_error import quiet_standard_error

Decoding = Callable[[bytes], NDArray[np.float32]]
_PHOTOS_AT_A_TIME = 64
# So many for each core at least, so that no core waits long for another at the end.
_BATCHES_OF_CORE = 32
_MAX_PIXELS = 120_000_000
_of_process: "Network | None" = None


class Network:
    """One LiteRT interpreter of one thread."""

    def __init__(self, flatbuffer: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with quiet_standard_error():
            self._interpreter = Interpreter(model_path=flatbuffer, num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the features, of shape (1280,), of pixels in [-1, 1] of shape (1, 224, 224, 3)."""
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        features: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        return features

    def features(self, paths: Sequence[str], decoding: Decoding | None = None) -> NDArray[np.float32]:
        """Returns the features of photos, of shape (N, 1280).

        Args:
            paths: Their files.
            decoding: From a file's bytes to pixels; by default as the product does it.
        """
        decoding = decoding or product_pixels
        return np.stack([self.run(decoding(Path(path).read_bytes())) for path in paths])


def network_of_process(flatbuffer: str) -> Network:
    """Returns this process's network, made at the first call."""
    global _of_process
    if _of_process is None:
        _of_process = Network(flatbuffer)
    return _of_process


def product_pixels(data: bytes) -> NDArray[np.float32]:
    """Decodes a photo as the product does: large JPEGs at a half, a quarter or an eighth of their size."""
    return network_input(decode(data, _MAX_PIXELS).pixels)


def full_pixels(data: bytes) -> NDArray[np.float32]:
    """Decodes all pixels of a photo and then shrinks it, as the notebook did."""
    image = Image.open(io.BytesIO(data))
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return network_input(np.asarray(small, dtype=np.uint8))


def list_photos(images: str) -> list[str]:
    """Returns the paths of all photos below an images root, sorted."""
    return sorted(str(path) for path in Path(images).rglob("*.jpg"))


def photos_at_a_time(photos: int, cores: int) -> int:
    """Returns how many photos an engine gives to a core at a time: 64, or fewer where the photos are few."""
    return max(1, min(_PHOTOS_AT_A_TIME, photos // (cores * _BATCHES_OF_CORE)))


def in_parts(paths: Sequence[str], size: int = _PHOTOS_AT_A_TIME) -> Iterator[list[str]]:
    """Cuts paths into lists of a size."""
    for start in range(0, len(paths), size):
        yield list(paths[start : start + size])
