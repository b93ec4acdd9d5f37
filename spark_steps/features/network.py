"""What a network takes and gives: the one declaration by which photos are decoded, scaled and run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.features.names import LEAST_FEATURES, MOST_FEATURES, RAW, TF, TORCH, UNIT
from spark_steps.photos.decoding import SIDE

LITERT, ONNX = "litert", "onnx"
NHWC, NCHW = "NHWC", "NCHW"
# The suffix of a network's file in a store.
SUFFIXES = {LITERT: "tflite", ONNX: "onnx"}

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
# Pixels from 0 to 255 are divided by the first, and the second is subtracted.
SCALINGS: dict[str, tuple[np.float32 | NDArray[np.float32], np.float32 | NDArray[np.float32]]] = {
    TF: (np.float32(127.5), np.float32(1)),
    UNIT: (np.float32(255), np.float32(0)),
    RAW: (np.float32(1), np.float32(0)),
    TORCH: (np.float32(255) * _IMAGENET_DEVIATION, _IMAGENET_MEAN / _IMAGENET_DEVIATION),
}
LEAST_SIDE, MOST_SIDE = 8, 2048


@dataclass(frozen=True)
class NetworkSpec:
    """What a network takes and gives; by default what MobileNetV2 1.0/224 without its classifier does.

    Attributes:
        format: Format of its file, and so the engine that runs it: ``litert`` or ``onnx``.
        height: Height of its input in pixels.
        width: Width of its input in pixels.
        layout: Order of its input's axes: ``NHWC``, or ``NCHW`` with the channels first. Channels are RGB.
        scaling: Values of its input: ``tf`` from -1 to 1, ``unit`` from 0 to 1, ``raw`` from 0 to 255, ``torch`` with
            the mean and the standard deviation that torchvision takes for ImageNet.
        features: Number of features that it gives for a photo.
    """

    format: str = LITERT
    height: int = SIDE
    width: int = SIDE
    layout: str = NHWC
    scaling: str = TF
    features: int = 1280

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""
        return self.height, self.width

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of its input for one photo."""
        return (1, 3, *self.size) if self.layout == NCHW else (1, *self.size, 3)

    @property
    def preparation(self) -> str:
        """How the pixels of a photo are prepared, as a text: part of the fingerprint of its features."""
        return f"{self.height}x{self.width}, {self.layout}, {self.scaling}, {self.format}"

    def as_record(self) -> dict[str, Any]:
        """Returns it as the record of a network in a store has it."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "NetworkSpec":
        """Returns what the record of a network in a store declares.

        Args:
            record: The record. One without ``network`` was written when MobileNetV2 was the only network.

        Raises:
            FruitsError: The declaration is malformed, as after a change by hand.
        """
        declared = record.get("network", {})
        if not isinstance(declared, Mapping):
            raise FruitsError(_malformed(declared))
        try:
            known = {field.name: declared[field.name] for field in fields(cls) if field.name in declared}
            spec = cls(**known)
            sound = (
                SUFFIXES.keys() >= {spec.format}
                and spec.layout in (NHWC, NCHW)
                and SCALINGS.keys() >= {spec.scaling}
                and all(isinstance(number, int) for number in (*spec.size, spec.features))
                and all(LEAST_SIDE <= side <= MOST_SIDE for side in spec.size)
                and LEAST_FEATURES <= spec.features <= MOST_FEATURES
            )
        except TypeError as error:
            raise FruitsError(_malformed(declared)) from error
        if not sound:
            raise FruitsError(_malformed(declared))
        return spec


MOBILENET_V2 = NetworkSpec()


def _malformed(declared: object) -> str:
    return (
        f"The store's record of its network declares {declared!r}, which no network is. Delete the files ending in "
        ".json beside the network, and run again with its weights."
    )


def network_input(pixels: NDArray[np.uint8], spec: NetworkSpec = MOBILENET_V2) -> NDArray[np.float32]:
    """Returns a network's input for a photo: float32, of the shape ``spec.input_shape``.

    Args:
        pixels: RGB from 0 to 255, of shape (height, width, 3) as the network takes them.
        spec: What the network takes.
    """
    divisor, shift = SCALINGS[spec.scaling]
    scaled: NDArray[np.float32] = pixels.astype(np.float32)[np.newaxis]
    # In place: this takes a third of the time of a new array for each operation.
    scaled /= divisor
    scaled -= shift
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)) if spec.layout == NCHW else scaled
