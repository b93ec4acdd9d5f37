"""Files of networks: shapes are read from them, and what gives no features of a photo is refused in a sentence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spark_steps.errors import FruitsError
from spark_steps.features.engines import ENGINES
from spark_steps.features.inspection import inspected
from spark_steps.features.network import NCHW, NHWC, NetworkSpec, network_input
from spark_steps.features.onnx_file import refuse_foreign_parts
from tests.support.networks.onnx_files import (
    FLOAT,
    FLOAT16,
    INT8,
    convolutional,
    convolved,
    external,
    field,
    model,
    node,
    tensor,
)

IMAGE = {"pixels": (FLOAT, [1, 3, 16, 16])}


def pooled(*nodes: bytes, tensors: Sequence[bytes] = (), output: str = "pooled", of_type: int = FLOAT) -> bytes:
    """A network that averages each channel, and goes on with some nodes."""
    first = node("ReduceMean", ["pixels"], ["pooled"], {"axes": [2, 3], "keepdims": 0})
    return model([first, *nodes], tensors, IMAGE, {output: (of_type, ["N", "width"])})


def refusal(content: bytes) -> str:
    with pytest.raises(FruitsError) as refused:
        inspected(content, "onnx", "tf", "net.onnx")
    assert "net.onnx" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("shape", "layout", "size"),
    [
        ([1, 3, 32, 48], NCHW, (32, 48)),
        (["N", 3, 32, 48], NCHW, (32, 48)),
        ([1, 32, 48, 3], NHWC, (32, 48)),
        (["batch", 32, 48, 3], NHWC, (32, 48)),
        (["N", 3, "height", "width"], NCHW, (224, 224)),
        (["N", "height", "width", 3], NHWC, (224, 224)),
    ],
    ids=str,
)
def test_layout_size_and_width_are_those_of_the_file_and_features_those_of_the_network(
    shape: list[int | str], layout: str, size: tuple[int, int]
) -> None:
    content = convolutional(shape, channels_first=layout == NCHW)
    spec = inspected(content, "onnx", "unit", "net.onnx")
    assert spec == NetworkSpec("onnx", *size, layout, "unit", 24)
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    taken = network_input(pixels, spec)
    channels_first = taken[0] if layout == NCHW else taken[0].transpose(2, 0, 1)
    found = ENGINES[spec.format](content, spec).run(taken)[0]
    np.testing.assert_allclose(found, convolved(channels_first), rtol=1e-4, atol=1e-5)


def test_a_network_of_several_inputs_or_outputs_is_refused() -> None:
    two = {"pixels": (FLOAT, [1, 3, 16, 16]), "size": (FLOAT, [1])}
    outputs = {"positive": (FLOAT, [1, 3, 16, 16]), "features": (FLOAT, [1, 3])}
    nodes = [
        node("Relu", ["pixels"], ["positive"]),
        node("ReduceMean", ["positive"], ["features"], {"axes": [2, 3], "keepdims": 0}),
    ]
    assert "has 1 inputs and 2 outputs, and a network of features has one input" in refusal(
        model(nodes, [], IMAGE, outputs)
    )
    used = node("Add", ["features", "size"], ["sum"])
    assert "has 2 inputs and 1 outputs" in refusal(model([*nodes, used], [], two, {"sum": (FLOAT, [1, 3])}))


def test_an_input_of_8_or_16_bits_is_refused_with_the_remedy() -> None:
    for of_type, name in ((INT8, "int8"), (FLOAT16, "float16")):
        cast = node("Cast", ["pixels"], ["numbers"], {"to": FLOAT})
        mean = node("ReduceMean", ["numbers"], ["features"], {"axes": [2, 3], "keepdims": 0})
        content = model([cast, mean], [], {"pixels": (of_type, [1, 3, 16, 16])}, {"features": (FLOAT, [1, 3])})
        assert f"takes {name} [1, 3, 16, 16]" in refusal(content)
        assert "Export it with an input of float32" in refusal(content)


@pytest.mark.parametrize(
    "shape",
    [[1, 1, 16, 16], [8, 3, 16, 16], [1, 16, 16, 4], [3, 16, 16], ["N", "channels", "height", "width"]],
    ids=str,
)
def test_an_input_that_is_no_photo_is_refused(shape: list[int | str]) -> None:
    relu = node("Relu", ["pixels"], ["features"])
    told = refusal(model([relu], [], {"pixels": (FLOAT, shape)}, {"features": (FLOAT, shape)}))
    assert "one input of float32 pixels, [N, height, width, 3] or [N, 3, height, width]" in told


@pytest.mark.parametrize("side", [4, 4096])
def test_an_input_that_is_too_small_or_too_large_for_photos_is_refused(side: int) -> None:
    assert "height and width of a photo are 8 to 2048 pixels here" in refusal(convolutional([1, 3, side, side]))


def test_a_map_of_features_is_refused_with_the_layer_that_is_missing() -> None:
    relu = node("Relu", ["pixels"], ["map"])
    told = refusal(model([relu], [], IMAGE, {"map": (FLOAT, [1, 3, 16, 16])}))
    assert "gives [1, 3, 16, 16] for a photo, and not [1, features]: a map, not a vector" in told
    assert "Put a global average pooling after it" in told


def test_more_features_than_a_pca_can_be_fitted_to_are_refused() -> None:
    flat = node("Flatten", ["pixels"], ["features"])
    told = refusal(model([flat], [], {"pixels": (FLOAT, [1, 3, 64, 64])}, {"features": (FLOAT, [1, 12288])}))
    assert "gives 12,288 features, and a PCA is fitted to 2 to 4,096" in told


def test_features_that_are_not_finite_or_differ_from_run_to_run_are_refused() -> None:
    zero = tensor("zero", np.zeros(1, np.float32))
    broken = pooled(
        node("Mul", ["pooled", "zero"], ["zeros"]),
        node("Div", ["zeros", "zero"], ["broken"]),
        tensors=[zero],
        output="broken",
    )
    assert "NaN or infinite for a photo of random pixels" in refusal(broken)
    noise = node("RandomNormalLike", ["pooled"], ["noise"])
    random = pooled(noise, node("Add", ["pooled", "noise"], ["features"]), output="features")
    assert "gives other features when it is run again" in refusal(random)


def test_numbers_in_another_file_are_refused_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.ones(3, np.float32).tobytes())
    outside = external("bias", [3], "secret")
    add = node("Add", ["pooled", "bias"], ["features"])
    assert "keeps numbers in other files" in refusal(pooled(add, tensors=[outside], output="features"))
    # The same tensor as the attribute of a node, and in the graph of another node's branch.
    constant = node("Constant", [], ["bias"]) + field(5, field(1, "value") + field(5, outside) + field(20, 4))
    assert "keeps numbers in other files" in refusal(pooled(constant, add, output="features"))
    branch = field(1, constant) + field(12, field(1, "bias"))
    choice = node("If", ["pooled"], ["features"]) + field(5, field(1, "then_branch") + field(6, branch) + field(20, 5))
    assert "keeps numbers in other files" in refusal(pooled(choice, output="features"))


def test_operators_that_need_another_library_or_another_file_are_refused() -> None:
    for domain, name in (("com.example", "RunThis"), ("com.microsoft", "EPContext")):
        told = refusal(pooled(node(name, ["pooled"], ["features"], domain=domain), output="features"))
        assert f"another library or another file: {name}" in told


@pytest.mark.parametrize(
    "content",
    [b"", b"not a network", b"\x0f" * 40, convolutional([1, 3, 16, 16])[:-9], b"ORTM" * 20, field(1, 8)],
    ids=["empty", "text", "groups", "cut off", "its own format", "no graph"],
)
def test_what_is_no_onnx_file_is_refused_before_the_engine_reads_it(content: bytes) -> None:
    with pytest.raises(FruitsError, match=r"net\.onnx is no ONNX model"):
        refuse_foreign_parts(content, "net.onnx")


def test_a_field_whose_number_is_written_with_more_bits_is_the_same_field() -> None:
    # Readers of Protocol Buffers drop them, so that this names a file all the same.
    hidden = (13 << 3 | 2) + (1 << 32)
    key = bytes([hidden & 0x7F | 0x80, *(hidden >> 7 * n & 0x7F | 0x80 for n in (1, 2, 3)), hidden >> 28])
    entry = field(1, "location") + field(2, "secret")
    outside = field(1, 3) + field(2, FLOAT) + field(8, "bias") + key + bytes([len(entry)]) + entry
    with pytest.raises(FruitsError, match="keeps numbers in other files"):
        refuse_foreign_parts(pooled(tensors=[outside]), "net.onnx")


def test_what_is_no_litert_file_is_refused() -> None:
    with pytest.raises(FruitsError, match=r"net\.tflite is no LiteRT model"):
        inspected(b"not a network", "litert", "tf", "net.tflite")
