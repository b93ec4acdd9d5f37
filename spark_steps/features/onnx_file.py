"""Looks through an ONNX file before ONNX Runtime reads it, for parts that read other files or need other code.

Tensors may name a file that holds their numbers, by any path, and ONNX Runtime would read it. The file is a message of
Protocol Buffers; of its form (``onnx.proto``) only the ways to tensors and nodes are known here, and the rest is passed
over.
"""

from collections.abc import Iterator

from spark_steps.errors import FruitsError

# For each kind of message the fields that lead on, and the kind of message that each holds.
_LEADING_ON = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_OPERATOR, _DOMAIN_OF_NODE, _DOMAIN_OF_FUNCTION = 4, 7, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
# The operators of ONNX itself, and those that are a part of ONNX Runtime. Those of another domain come from a library.
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
# An operator of ONNX Runtime whose attributes name a file.
_NAMES_A_FILE = "EPContext"
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_Field = tuple[int, int | memoryview]


def refuse_foreign_parts(content: bytes, source: str) -> None:
    """Raises a FruitsError if a model keeps numbers in other files, or has operators that ONNX Runtime lacks.

    Args:
        content: The bytes of an ONNX file.
        source: The weights source as the user gave it, for messages.
    """
    used, own, graphs = set[tuple[str, str]](), set[str](), 0
    try:
        for kind, found in _messages(content):
            if kind == "tensor" and any(n == _EXTERNAL_DATA or (n == _DATA_LOCATION and v != 0) for n, v in found):
                raise FruitsError(
                    f"{source} keeps numbers in other files (external data). Save it as one file: "
                    "onnx.save(onnx.load('name.onnx'), 'one.onnx')."
                )
            if kind == "node":
                used.add((_text(found, _DOMAIN_OF_NODE), _text(found, _OPERATOR)))
            elif kind == "function":
                own.add(_text(found, _DOMAIN_OF_FUNCTION))
            graphs += kind == "graph"
    except ValueError as error:
        raise FruitsError(f"{source} is no ONNX model: {error}.") from error
    if not graphs:
        raise FruitsError(f"{source} is no ONNX model: it has no graph.")
    foreign = sorted(name for domain, name in used if domain not in _DOMAINS | own or name == _NAMES_A_FILE)
    if foreign:
        raise FruitsError(
            f"{source} has operators that need another library or another file: {', '.join(foreign[:5])}. Export it "
            "with the operators of ONNX alone."
        )


def _messages(content: bytes) -> Iterator[tuple[str, list[_Field]]]:
    """Yields the kind and the fields of the model, and of all messages on the way to its tensors and nodes."""
    left = [("model", memoryview(content))]
    while left:
        kind, message = left.pop()
        found = list(_fields(message))
        yield kind, found
        leading_on = _LEADING_ON[kind]
        left += [(leading_on[n], value) for n, value in found if n in leading_on and isinstance(value, memoryview)]


def _fields(message: memoryview) -> Iterator[_Field]:
    """Yields the number and the value of each field of a message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        # Readers of Protocol Buffers drop the bits above the 32nd.
        key &= 0xFFFFFFFF
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("it is not in the form of Protocol Buffers")
        if position + size > len(message):
            raise ValueError("it is cut off")
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Returns the number at a position, and the position after it."""
    number = 0
    for count in range(_LONGEST_VARINT):
        if position + count >= len(message):
            raise ValueError("it is cut off")
        byte = message[position + count]
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return number, position + count + 1
    raise ValueError("it is not in the form of Protocol Buffers")


def _text(found: list[_Field], wanted: int) -> str:
    """Returns a field that is a text, empty if it is left out; of several the last counts."""
    texts = [value for number, value in found if number == wanted and isinstance(value, memoryview)]
    return bytes(texts[-1]).decode(errors="replace") if texts else ""
