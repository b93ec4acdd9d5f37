"""Other networks than MobileNetV2: their features are those of their own engines, and widths are never mixed."""

from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from pyspark.sql import SparkSession

from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from spark_steps.features.network import NCHW, NHWC, NetworkSpec, network_input
from spark_steps.features.quality import feature_quality
from spark_steps.features.weights import MobileNetModel, current_spec, load_model, make_current, replaced_network
from spark_steps.pca.model import PcaSettings, fit
from spark_steps.photos.decoding import decode
from spark_steps.photos.limits import DecodeLimits
from spark_steps.queries.identify import identify
from spark_steps.store import outdated
from spark_steps.store.store import Store
from tests.support.networks.keras_made import NETWORKS, KerasNetwork, make_networks
from tests.support.networks.onnx_files import convolutional, convolved
from tests.support.photos import save_photo
from tests.support.pipeline import run_pipeline
from tests.support.runs import checks_of
from tests.support.steps import LIMITS, write_features, write_raw_images, write_store

FOLDERS = ("Apple", "Pear")


@dataclass(frozen=True)
class Keras:
    """Photos, and networks of Keras with their features of them.

    Attributes:
        images: The images root.
        paths: The photos below it, in the order of the features.
        networks: By the name of their file; beside them lie the files of models that are no networks.
    """

    images: Path
    paths: list[str]
    networks: dict[str, KerasNetwork]

    @property
    def directory(self) -> Path:
        return self.networks["whole.h5"].file.parent


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Keras:
    images = tmp_path_factory.mktemp("images")
    for number in range(4):
        save_photo(images / "Apple" / f"{number}.jpg", colour=60 * number, size=(400, 300))
        save_photo(images / "Pear" / f"{number}.png", colour=60 * number + 30, size=(90, 160 + 9 * number))
    paths = sorted(str(path.relative_to(images)) for path in images.rglob("*.*"))
    pixels = {
        size: np.stack([decode((images / path).read_bytes(), 10**8, size).pixels for path in paths])
        for _, size in NETWORKS.values()
    }
    return Keras(images, paths, make_networks(tmp_path_factory.mktemp("networks"), pixels))


def features_of(store: Store, paths: list[str]) -> np.ndarray:
    rows = store.mobilenet_features.arrow(["path", "features", "error"]).to_pylist()
    assert [row["error"] for row in rows] == [None] * len(paths)
    by_path = {row["path"]: row["features"] for row in rows}
    return np.array([by_path[path] for path in paths], np.float32)


@pytest.mark.parametrize(
    ("name", "width", "tolerance"),
    [
        ("mobilenet_v3.keras", 576, 1e-4),
        ("efficientnet.keras", 1280, 1e-4),
        # The rounding of float32 is larger here, as in the tests of MobileNetV2.
        ("narrow.keras", 1280, 1e-3),
        ("whole.h5", 256, 1e-3),
    ],
)
def test_the_features_of_a_keras_model_are_those_that_keras_gives(
    name: str, width: int, tolerance: float, keras: Keras, spark: SparkSession, tmp_path: Path
) -> None:
    network, store = keras.networks[name], Store(str(tmp_path))
    write_store(spark, store, keras.images, network.file, PcaSettings(3), scaling=network.scaling)
    spec = current_spec(store.mobilenet_models)
    assert spec == NetworkSpec("litert", *network.size, NHWC, network.scaling, width)
    # The signal has come through: photos differ in features that are neither all zero nor huge.
    assert 0.01 < np.ptp(network.features, axis=0).max() < 1000
    np.testing.assert_allclose(features_of(store, keras.paths), network.features, rtol=0, atol=tolerance)
    model = store.existing_pca_model()
    assert (model.k, model.mean.shape) == (3, (width,))
    (answer,) = identify([str(keras.images / keras.paths[5])], store, 1, DecodeLimits()).identified
    assert answer.near.neighbours[0].path == keras.paths[5]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("map.keras", r"gives \[1, 62, 62, 8\] for a photo, and not \[1, features\].*pooling='avg'"),
        ("two_outputs.keras", "has 1 inputs and 2 outputs"),
        ("two_inputs.keras", r"takes \(None, 64, 64, 3\), \(None, 64, 64, 3\), and a network of features takes photos"),
        ("channels_first.keras", r"takes \(None, 3, 64, 64\), and a network of features takes photos alone"),
        ("grey.keras", r"takes \(None, 64, 64, 1\), and a network of features takes photos alone"),
        ("broken.keras", "gives features that are NaN or infinite for a photo of random pixels"),
        ("quantised.tflite", r"takes int8 \[1, 64, 64, 3\], and photos are given to a network as float32"),
    ],
)
def test_what_gives_no_features_of_a_photo_is_refused_and_leaves_nothing(
    name: str, told: str, keras: Keras, tmp_path: Path
) -> None:
    with pytest.raises(FruitsError, match=rf"{name} {told}"):
        load_model(str(keras.directory / name), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_keras_model_that_scales_pixels_itself_is_not_given_scaled_ones(keras: Keras, tmp_path: Path) -> None:
    for name in ("mobilenet_v3.keras", "efficientnet.keras"):
        with pytest.raises(FruitsError, match=rf"{name} scales pixels from 0 to 255 itself.*FRUITS_SCALING=raw"):
            load_model(str(keras.networks[name].file), str(tmp_path))


def test_a_keras_model_of_any_size_takes_that_of_mobilenet(keras: Keras, tmp_path: Path) -> None:
    assert load_model(str(keras.directory / "free.keras"), str(tmp_path)).spec == NetworkSpec(features=8)


def test_a_network_that_is_quantised_inside_alone_is_taken(keras: Keras, tmp_path: Path) -> None:
    spec = load_model(str(keras.directory / "quantised_inside.tflite"), str(tmp_path)).spec
    assert spec == NetworkSpec("litert", 64, 64, NHWC, "tf", 8)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    (tmp_path / "own.onnx").write_bytes(convolutional(["N", 3, 48, 32]))
    return tmp_path / "own.onnx"


@pytest.mark.parametrize("layout", [NCHW, NHWC])
@pytest.mark.parametrize("scaling", ["torch", "unit"])
def test_an_onnx_network_gives_in_sparks_tasks_what_numpy_computes(
    layout: str, scaling: str, keras: Keras, spark: SparkSession, tmp_path: Path
) -> None:
    file, store = tmp_path / "own.onnx", Store(str(tmp_path / "store"))
    shape: list[int | str] = ["N", 3, 48, 32] if layout == NCHW else [1, 48, 32, 3]
    file.write_bytes(convolutional(shape, channels_first=layout == NCHW))
    write_store(spark, store, keras.images, file, PcaSettings(3), scaling=scaling)
    spec = current_spec(store.mobilenet_models)
    assert spec == NetworkSpec("onnx", 48, 32, layout, scaling, 24)
    channels_first = replace(spec, layout=NCHW)
    photos = [decode((keras.images / path).read_bytes(), 10**8, spec.size) for path in keras.paths]
    expected = np.stack([convolved(network_input(photo.pixels, channels_first)[0]) for photo in photos])
    np.testing.assert_allclose(features_of(store, keras.paths), expected, rtol=1e-4, atol=1e-5)


def test_features_of_two_networks_are_never_fitted_together_and_another_network_computes_all_again(
    keras: Keras, network: MobileNetModel, onnx_file: Path, spark: SparkSession, tmp_path: Path
) -> None:
    store, images = Store(str(tmp_path / "store")), str(keras.images)
    write_raw_images(store, images)
    write_features(spark, store, images, network)
    make_current(network, store.mobilenet_models)
    fit(spark, store.mobilenet_features, network, PcaSettings(3))

    other = load_model(str(onnx_file), store.mobilenet_models, "unit")
    make_current(other, store.mobilenet_models)
    assert write_features(spark, store, images, other, ["Pear"]).inferences.value == 4
    for one in (network, other):
        with pytest.raises(FruitsError, match="Some features were made by another network"):
            fit(spark, store.mobilenet_features, one, PcaSettings(3))
    # The looks at a store in between fail at none of its widths.
    assert outdated.folders_to_featurise(store, images, FOLDERS, None, LIMITS) == ["Apple"]
    assert outdated.pca_is_outdated(store, None)
    quality = feature_quality(spark, store.mobilenet_features, other.spec.features)
    assert (quality.rows, quality.wrong_length, quality.width) == (8, 4, 24)

    assert write_features(spark, store, images, other).inferences.value == 4
    model = fit(spark, store.mobilenet_features, other, PcaSettings(50))
    assert model.components.shape[1] == len(model.mean) == 24
    assert model.k <= 7
    assert feature_quality(spark, store.mobilenet_features, 24).wrong_length == 0


def test_another_scaling_of_the_same_weights_is_another_network(
    keras: Keras, onnx_file: Path, spark: SparkSession, tmp_path: Path
) -> None:
    store, images, weights = Store(str(tmp_path / "store")), str(keras.images), str(onnx_file)
    write_store(spark, store, images, weights, scaling="raw")
    cache = store.mobilenet_models

    def due(weights: str | None, scaling: str) -> list[str]:
        return outdated.folders_to_featurise(store, images, FOLDERS, weights, LIMITS, scaling)

    assert due(None, "tf") == due(weights, "raw") == []
    assert due(weights, "tf") == due(weights, "torch") == list(FOLDERS)
    assert replaced_network(weights, cache, "raw") is None
    assert replaced_network(weights, cache, "tf") == f"{weights} (scaling raw)"
    again = load_model(weights, cache, "unit")
    assert write_features(spark, store, images, again).inferences.value == len(keras.paths)


def test_a_run_takes_the_network_its_scaling_and_its_width_and_keeps_them(
    keras: Keras, onnx_file: Path, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    place = {"images": str(keras.images), "store": str(tmp_path / "store"), "cores": "2"}
    said: list[str] = []
    run_pipeline(read_settings(**place, weights=str(onnx_file), scaling="raw"), instance, say=said.append)
    checks = checks_of(instance)
    assert checks["features_are_finite_numbers"][0], checks
    assert "8 of 8 rows have 24 finite features" in checks["features_are_finite_numbers"][1]
    record = instance.get_latest_materialization_event(dg.AssetKey("mobilenet_model"))
    assert record is not None
    assert record.asset_materialization is not None
    told = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert (told["engine"], told["input"], told["scaling"], told["features"]) == ("onnx", "48 x 32, NCHW", "raw", 24)

    before = Store(place["store"]).mobilenet_features.snapshot().version
    run_pipeline(read_settings(**place), instance, say=said.append)
    assert "Nothing is new" in said[-1]
    assert Store(place["store"]).mobilenet_features.snapshot().version == before
