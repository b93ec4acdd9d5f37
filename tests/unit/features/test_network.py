"""What a network declares: how pixels are scaled for it, and what the record of a store says of it."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.features.names import check_scaling
from spark_steps.features.network import MOBILENET_V2, NCHW, NetworkSpec, network_input
from spark_steps.features.weights import (
    MobileNetModel,
    current_model,
    current_spec,
    find_network,
    load_model,
    make_current,
)
from spark_steps.photos.decoding import PREPROCESSING
from spark_steps.storage import locations
from tests.support.networks.onnx_files import convolutional

PIXELS = np.random.default_rng(5).integers(0, 256, (6, 4, 3)).astype(np.uint8)
OTHER = NetworkSpec("onnx", 96, 128, NCHW, "torch", 576)


def scaled(scaling: str) -> np.ndarray:
    return network_input(PIXELS, NetworkSpec(height=6, width=4, scaling=scaling))


def test_each_scaling_gives_the_values_that_its_name_stands_for() -> None:
    exact = PIXELS.astype(np.float64)[np.newaxis]
    torch = (exact / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for scaling, expected in {"tf": exact / 127.5 - 1, "unit": exact / 255, "raw": exact, "torch": torch}.items():
        found = scaled(scaling)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=scaling)


def test_mobilenet_takes_the_very_numbers_that_it_took_before_there_were_others() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    expected = pixels.astype(np.float32)[np.newaxis] / np.float32(127.5) - np.float32(1)
    np.testing.assert_array_equal(network_input(pixels), expected)


def test_channels_come_first_where_the_network_takes_them_first() -> None:
    spec = replace(OTHER, height=6, width=4, scaling="raw")
    found = network_input(PIXELS, spec)
    assert found.shape == spec.input_shape == (1, 3, 6, 4)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found[0].transpose(1, 2, 0), PIXELS)


def test_a_declaration_survives_the_record_of_the_store() -> None:
    assert NetworkSpec.of_record({"network": OTHER.as_record()}) == OTHER


def test_a_record_of_an_older_release_declares_mobilenet() -> None:
    assert NetworkSpec.of_record({"flatbuffer": "a", "source": "imagenet", "weights_sha256": "b"}) == MOBILENET_V2
    assert MOBILENET_V2.input_shape == (1, 224, 224, 3)
    assert (MOBILENET_V2.format, MOBILENET_V2.scaling, MOBILENET_V2.features) == ("litert", "tf", 1280)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 100_000},
        {"width": "224"},
        {"scaling": "caffe"},
        {"format": "pickle"},
        {"layout": ["NHWC"]},
        {"features": 1.5},
        {"features": 10**9},
        "MobileNetV2",
        None,
    ],
    ids=str,
)
def test_a_declaration_that_somebody_has_changed_to_nonsense_is_refused(wrong: object) -> None:
    declared = {**MOBILENET_V2.as_record(), **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(FruitsError, match=r"declares .*, which no network is\. Delete the files"):
        NetworkSpec.of_record({"network": declared})


@pytest.mark.parametrize("source", [None, "imagenet", "random:0"])
def test_a_scaling_is_for_a_file_of_weights_alone(source: str | None) -> None:
    check_scaling(source, "tf")
    check_scaling("own.keras", "raw")
    with pytest.raises(CalledWronglyError, match=r"scaling raw is for a file of weights .* give the file \(--weights"):
        check_scaling(source, "raw")
    with pytest.raises(CalledWronglyError, match="'caffe' is none of: tf, unit, raw, torch"):
        check_scaling("own.keras", "caffe")


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def loaded(cache: str, tmp_path_factory: pytest.TempPathFactory, scaling: str = "tf", side: int = 32) -> MobileNetModel:
    file = tmp_path_factory.mktemp("weights") / "net.onnx"
    file.write_bytes(convolutional([1, 3, side, side]))
    return load_model(str(file), cache, scaling)


def test_the_fingerprint_of_mobilenet_is_of_the_network_and_the_preprocessing_alone(
    cache: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = b"a network that nobody runs"
    name = hashlib.sha256(content).hexdigest()
    locations.write_bytes(f"{cache}/{name}.tflite", content)
    locations.write_json(f"{cache}/current.json", {"flatbuffer": name, "source": "imagenet", "weights_sha256": "w"})
    expected = hashlib.sha256(PREPROCESSING.encode() + b"\0" + content).hexdigest()
    assert current_model(cache) == MobileNetModel(content, expected, "imagenet", "w")
    assert find_network(expected, cache) == (content, MOBILENET_V2)


def test_each_scaling_of_a_network_is_another_fingerprint_and_is_found_by_it(
    cache: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    models = [loaded(cache, tmp_path_factory, scaling) for scaling in ("tf", "unit", "raw", "torch")]
    assert len({model.fingerprint for model in models}) == 4
    assert len({model.flatbuffer for model in models}) == 1
    for model in models:
        assert find_network(model.fingerprint, cache) == (model.flatbuffer, model.spec)
    assert find_network("another", cache) is None


def test_the_current_network_is_the_one_made_current_with_its_scaling(
    cache: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert current_spec(cache) == MOBILENET_V2
    model = loaded(cache, tmp_path_factory, "raw")
    make_current(model, cache)
    assert current_model(cache) == model
    assert current_spec(cache) == model.spec == NetworkSpec("onnx", 32, 32, NCHW, "raw", 24)
