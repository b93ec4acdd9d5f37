"""Reads from a network's file what it takes and gives, runs it once, and refuses what gives no features of a photo."""

from dataclasses import dataclass, replace

import numpy as np

from spark_steps.errors import FruitsError
from spark_steps.features.engines import LiteRt, OnnxRuntime, onnx_session
from spark_steps.features.names import LEAST_FEATURES, MOST_FEATURES
from spark_steps.features.network import (
    LEAST_SIDE,
    LITERT,
    MOST_SIDE,
    NCHW,
    NHWC,
    NetworkSpec,
    network_input,
)
from spark_steps.features.onnx_file import refuse_foreign_parts
from spark_steps.photos.decoding import SIDE

_NEEDED = "one input of float32 pixels, [N, height, width, 3] or [N, 3, height, width], and one output, [N, features]"


@dataclass(frozen=True)
class _Tensor:
    """An input or output.

    Attributes:
        type: Name of its type in numpy.
        shape: Its shape, None for what is free.
    """

    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.type} [{', '.join('N' if size is None else str(size) for size in self.shape)}]"


def inspected(content: bytes, file_format: str, scaling: str, source: str) -> NetworkSpec:
    """Returns what a network takes and gives: its size, layout and width as its file has them.

    A height or a width that the file leaves free is 224.

    Args:
        content: The network's file.
        file_format: ``litert`` or ``onnx``.
        scaling: The scaling of its pixels, which no file tells.
        source: The weights source as the user gave it, for messages.

    Raises:
        FruitsError: It is no such file, or no network that gives features for a photo.
    """
    takes, gives = (_tensors_of_litert if file_format == LITERT else _tensors_of_onnx)(content, source)
    if len(takes) != 1 or len(gives) != 1:
        raise FruitsError(
            f"{source} has {len(takes)} inputs and {len(gives)} outputs, and a network of features has {_NEEDED}. "
            "Export the part between its pixels and its features alone."
        )
    spec = replace(_of_input(takes[0], source), format=file_format, scaling=scaling)
    return replace(spec, features=_tried(content, spec, source))


def _tensors_of_litert(content: bytes, source: str) -> tuple[list[_Tensor], list[_Tensor]]:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        sides = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise FruitsError(f"{source} is no LiteRT model: {error}") from error
    takes, gives = (
        [
            _Tensor(
                np.dtype(one["dtype"]).name, tuple(None if size < 0 else int(size) for size in one["shape_signature"])
            )
            for one in side
        ]
        for side in sides
    )
    return takes, gives


def _tensors_of_onnx(content: bytes, source: str) -> tuple[list[_Tensor], list[_Tensor]]:
    refuse_foreign_parts(content, source)
    try:
        session = onnx_session(content)
    # Its errors have no class in common but this one.
    except Exception as error:
        raise FruitsError(f"{source} is no ONNX model that ONNX Runtime can run: {_first_line(error)}") from error
    names = {"tensor(float)": "float32", "tensor(double)": "float64"}
    takes, gives = (
        [
            _Tensor(
                names.get(one.type, one.type.removeprefix("tensor(").removesuffix(")")),
                tuple(size if isinstance(size, int) else None for size in one.shape),
            )
            for one in side
        ]
        for side in (session.get_inputs(), session.get_outputs())
    )
    return takes, gives


def _of_input(taken: _Tensor, source: str) -> NetworkSpec:
    if taken.type != "float32":
        raise FruitsError(
            f"{source} takes {taken}, and photos are given to a network as float32. Export it with an input of "
            "float32; a quantised network may keep its weights of 8 bits."
        )
    layout = _layout(taken.shape)
    if layout is None:
        raise FruitsError(f"{source} takes {taken}, and a network of features has {_NEEDED}. N is free, or 1.")
    height, width = taken.shape[2:] if layout == NCHW else taken.shape[1:3]
    spec = NetworkSpec(height=height or SIDE, width=width or SIDE, layout=layout)
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in spec.size):
        raise FruitsError(
            f"{source} takes {taken}: height and width of a photo are {LEAST_SIDE} to {MOST_SIDE} pixels here. Export "
            "it for another size."
        )
    return spec


def _layout(shape: tuple[int | None, ...]) -> str | None:
    if len(shape) != 4 or shape[0] not in (None, 1):
        return None
    if shape[3] == 3:
        return NHWC
    return NCHW if shape[1] == 3 else None


def _tried(content: bytes, spec: NetworkSpec, source: str) -> int:
    """Returns the number of features that a network gives for a photo of random pixels, run twice."""
    pixels = np.random.default_rng(0).integers(0, 256, (*spec.size, 3)).astype(np.uint8)
    taken = network_input(pixels, spec)
    try:
        # Without XNNPACK: its message would come into what the terminal of a run shows.
        engine = LiteRt(content, spec, delegates=False) if spec.format == LITERT else OnnxRuntime(content, spec)
        found, again = engine.run(taken), engine.run(taken)
    # The two engines have no class of errors in common.
    except Exception as error:
        raise FruitsError(f"{source} cannot be run on a photo: {_first_line(error)}") from error
    shape = list(found.shape)
    if len(shape) != 2 or shape[0] != 1:
        pooling = "Put a global average pooling after it (pooling='avg' in keras.applications), and save it again."
        raise FruitsError(f"{source} gives {shape} for a photo, and not [1, features]: a map, not a vector. {pooling}")
    if not LEAST_FEATURES <= shape[1] <= MOST_FEATURES:
        raise FruitsError(
            f"{source} gives {shape[1]:,} features, and a PCA is fitted to {LEAST_FEATURES} to {MOST_FEATURES:,}. Take "
            "the output of another layer, such as that of its global pooling."
        )
    if found.dtype != np.float32:
        raise FruitsError(f"{source} gives {found.dtype}, and features are float32. Export it with such an output.")
    if not np.isfinite(found).all():
        raise FruitsError(
            f"{source} gives features that are NaN or infinite for a photo of random pixels. Its weights are broken, "
            f"or it expects pixels of another scaling than {spec.scaling}."
        )
    if not np.array_equal(found, again):
        raise FruitsError(
            f"{source} gives other features when it is run again. Export it for inference, not for training: dropout "
            "is active in it."
        )
    return int(shape[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
