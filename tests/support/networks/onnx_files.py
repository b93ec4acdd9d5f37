"""Writes ONNX files: the few messages of ``onnx.proto`` that a small network has, in the form of Protocol Buffers."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT8, INT64, FLOAT16 = 1, 2, 3, 7, 10
_TYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int64": INT64, "float16": FLOAT16}
_OPSET = 17
Shape = Sequence[int | str]


def field(number: int, value: int | str | bytes) -> bytes:
    """Returns a field of a message: a number, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tensor(name: str, numbers: NDArray[np.generic]) -> bytes:
    """Returns a TensorProto."""
    dims = b"".join(field(1, size) for size in numbers.shape)
    return dims + field(2, _TYPES[numbers.dtype.name]) + field(8, name) + field(9, numbers.tobytes())


def external(name: str, shape: Sequence[int], file: str) -> bytes:
    """Returns a TensorProto whose numbers are in another file."""
    entry = field(1, "location") + field(2, file)
    dims = b"".join(field(1, size) for size in shape)
    return dims + field(2, FLOAT) + field(8, name) + field(13, entry) + field(14, 1)


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, int | Sequence[int]] | None = None,
    domain: str = "",
) -> bytes:
    """Returns a NodeProto."""
    written = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    for name, value in (attributes or {}).items():
        if isinstance(value, int):
            attribute = field(1, name) + field(3, value) + field(20, 2)
        else:
            attribute = field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)
        written += field(5, attribute)
    return written + field(4, operator) + (field(7, domain) if domain else b"")


def model(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes],
    inputs: Mapping[str, tuple[int, Shape]],
    outputs: Mapping[str, tuple[int, Shape]],
) -> bytes:
    """Returns a ModelProto; inputs and outputs have a type and a shape, in which a text is a free size."""
    graph = b"".join(field(1, one) for one in nodes) + field(2, "network")
    graph += b"".join(field(5, one) for one in tensors)
    graph += b"".join(field(11, _value(name, *about)) for name, about in inputs.items())
    graph += b"".join(field(12, _value(name, *about)) for name, about in outputs.items())
    return field(1, 8) + field(7, graph) + field(8, field(2, _OPSET))


def _value(name: str, of_type: int, shape: Shape) -> bytes:
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, of_type) + field(2, dims)))


def convolutional(shape: Shape, *, channels_first: bool = True, features: int = 24, seed: int = 0) -> bytes:
    """Returns a network of one convolution, a ReLU and a global average pooling."""
    kernel = weights(features, seed)
    taken = "pixels"
    nodes = []
    if not channels_first:
        nodes.append(node("Transpose", ["pixels"], ["first"], {"perm": [0, 3, 1, 2]}))
        taken = "first"
    nodes += [
        node("Conv", [taken, "kernel"], ["convolved"], {"strides": [2, 2]}),
        node("Relu", ["convolved"], ["positive"]),
        node("GlobalAveragePool", ["positive"], ["pooled"]),
        node("Flatten", ["pooled"], ["features"]),
    ]
    return model(
        nodes, [tensor("kernel", kernel)], {"pixels": (FLOAT, shape)}, {"features": (FLOAT, [shape[0], features])}
    )


def weights(features: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Returns the kernel of ``convolutional``, of shape (features, 3, 3, 3)."""
    return np.random.default_rng(seed).normal(size=(features, 3, 3, 3)).astype(np.float32)


def convolved(taken: NDArray[np.float32], features: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Returns what ``convolutional`` gives for one input of shape (3, height, width), computed by numpy."""
    windows = np.lib.stride_tricks.sliding_window_view(taken, (3, 3), axis=(1, 2))[:, ::2, ::2]
    found = np.einsum("fchw,cyxhw->fyx", weights(features, seed).astype(np.float64), windows.astype(np.float64))
    numbers: NDArray[np.float32] = np.maximum(found, 0).mean(axis=(1, 2)).astype(np.float32)
    return numbers
