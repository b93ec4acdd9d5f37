"""Weights: the flat model gives what Keras gives, is converted once, and what is no network is refused."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from spark_steps.errors import FruitsError
from spark_steps.features import imagenet, weights
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.network import NetworkSpec, network_input
from spark_steps.features.weights import MobileNetModel, current_model, load_model, make_current
from spark_steps.photos.decoding import Photo, decode
from tests.support.photos import save_photo
from tests.support.project import REAL_WEIGHTS, SHARED_DATA

# All that takes TensorFlow itself, in one process: it takes long to start.
_KERAS = """
import sys, keras, numpy as np
from pathlib import Path
from spark_steps.errors import FruitsError
from spark_steps.features.keras_model import build_model, input_size

directory = Path(sys.argv[1])
for number, source in enumerate(sys.argv[2:]):
    pixels = np.load(directory / f"pixels{number}.npy")
    np.save(directory / f"features{number}.npy", build_model(source, source).predict(pixels, verbose=0))

bad = [str(directory / name) for name in ("narrow.weights.h5", "dense.keras", "lambda.keras", "lambda.h5")]
keras.applications.MobileNetV2(weights=None, alpha=0.35, include_top=False, pooling="avg").save_weights(bad[0])
keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]).save(bad[1])
with_code = keras.Sequential([keras.Input((224, 224, 3)), keras.layers.Lambda(lambda x: print("it ran") or x)])
for file in bad[2:]:
    with_code.save(file)
print("made")
for file in bad:
    try:
        input_size(build_model(file, file), file)
    except FruitsError as error:
        print(error)
"""


@dataclass(frozen=True)
class Keras:
    """What Keras itself makes of photos and of files.

    Attributes:
        photos: By the source of the weights.
        features: Of these photos by Keras' own predict.
        refusals: What was printed while files were loaded that hold another model, or code.
    """

    photos: dict[str, list[Photo]]
    features: dict[str, np.ndarray]
    refusals: str


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Keras:
    directory = tmp_path_factory.mktemp("keras")
    files = {"random:0": [save_photo(directory / f"{colour}.jpg", colour) for colour in (0, 90, 250)]}
    if SHARED_DATA.exists():
        folders = sorted((SHARED_DATA / "fruits360").iterdir())
        files[str(REAL_WEIGHTS)] = [next(folder.iterdir()) for folder in folders]
    photos = {source: [decode(file.read_bytes(), 10**8) for file in some] for source, some in files.items()}
    for number, some in enumerate(photos.values()):
        np.save(directory / f"pixels{number}.npy", np.concatenate([network_input(photo.pixels) for photo in some]))
    command = [sys.executable, "-c", _KERAS, str(directory), *photos]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    features = {source: np.load(directory / f"features{number}.npy") for number, source in enumerate(photos)}
    return Keras(photos, features, done.stdout.partition("made\n")[2])


def extracted(network: MobileNetModel, photos: list[Photo]) -> np.ndarray:
    extractor = FeatureExtractor(network.flatbuffer)
    return np.stack([extractor.extract(photo) for photo in photos])


def test_random_weights_give_the_features_that_keras_gives(network: MobileNetModel, keras: Keras) -> None:
    expected = keras.features["random:0"]
    found = extracted(network, keras.photos["random:0"])
    assert found.shape == (3, 1280)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_real_weights_give_the_features_that_keras_gives(real_network: MobileNetModel, keras: Keras) -> None:
    assert real_network.weights_sha256 == "1926c6e918078c4da7ab2b05149acdfad5a219d7670e56614bdafca80498254e"
    source = str(REAL_WEIGHTS)
    np.testing.assert_allclose(extracted(real_network, keras.photos[source]), keras.features[source], atol=1e-3)


def test_a_converted_model_is_not_converted_again(network_file: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = load_model(str(network_file), str(cache))
    written = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    again = load_model(str(network_file), str(cache))
    assert first == again
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == written


def test_imagenet_weights_that_keras_has_kept_are_found_without_tensorflow(
    network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "keras" / "models" / imagenet.IMAGENET_FILE
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"as downloaded")
    cache = tmp_path / "cache"
    converted = load_model(str(network_file), str(cache))
    (known,) = cache.glob("weights-*.json")
    known.rename(cache / f"weights-{hashlib.sha256(kept.read_bytes()).hexdigest()}.json")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(sys, "executable", "/there/is/no/python")
    assert load_model("imagenet", str(cache)).fingerprint == converted.fingerprint


@contextmanager
def serving(answer: bytes, length: int) -> Iterator[str]:
    """A server that promises so many bytes, sends the answer and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if answer else 404)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/weights.h5"
        server.shutdown()


def test_imagenet_weights_appear_whole_or_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for answer, length, told in [(b"part", 9, "ended after 4 of 9 bytes"), (b"", 0, "404")]:
        with serving(answer, length) as url:
            monkeypatch.setattr(imagenet, "_IMAGENET_URL", url)
            with pytest.raises(FruitsError, match=rf"{told}.*Bring {imagenet.IMAGENET_FILE} from a machine that can"):
                imagenet.download_imagenet()
        assert list((tmp_path / "models").iterdir()) == []
    with serving(b"weights", 7) as url:
        monkeypatch.setattr(imagenet, "_IMAGENET_URL", url)
        assert Path(imagenet.download_imagenet()).read_bytes() == b"weights"
    # The server is gone, and the file is there.
    assert imagenet.download_imagenet() == str(tmp_path / "models" / imagenet.IMAGENET_FILE)


def test_who_loads_a_model_waits_for_its_conversion_in_the_background(
    network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[str] = []
    convert, begun = weights._convert, threading.Event()

    def counted(weights_file: str, source: str, scaling: str, scratch: Path) -> tuple[bytes, str, NetworkSpec]:
        converted.append(source)
        begun.set()
        return convert(weights_file, source, scaling, scratch)

    monkeypatch.setattr(weights, "_convert", counted)
    weights.convert_in_background(str(network_file), str(tmp_path))
    assert begun.wait(60)
    assert load_model(str(network_file), str(tmp_path)).source == str(network_file)
    assert converted == [str(network_file)]


def test_a_store_keeps_its_network_and_a_new_one_takes_imagenet_before_any_work(
    network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    asked: list[str] = []
    monkeypatch.setattr(weights, "download_imagenet", lambda: asked.append("imagenet"))

    weights.fetch_weights(str(network_file), cache)
    assert asked == []
    weights.fetch_weights(None, cache)
    assert asked == ["imagenet"]

    model = load_model(str(network_file), cache)
    make_current(model, cache)
    weights.fetch_weights(None, cache)
    assert asked == ["imagenet"]
    assert weights.model_for_next(None, cache) == model


def test_another_treatment_of_pixels_is_another_fingerprint(
    network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_model(str(network_file), str(tmp_path))
    make_current(before, str(tmp_path))
    monkeypatch.setattr(weights, "PREPROCESSING", "another")
    # Also where the conversion is found in the cache, as after an upgrade.
    after = load_model(str(network_file), str(tmp_path))
    assert after.fingerprint != before.fingerprint
    assert current_model(str(tmp_path)) == after


def test_the_current_model_is_the_one_made_current(network_file: Path, tmp_path: Path) -> None:
    cache = str(tmp_path)
    with pytest.raises(FruitsError, match="Make features first"):
        current_model(cache)
    model = load_model(str(network_file), cache)
    make_current(model, cache)
    assert current_model(cache) == model


def test_a_file_that_is_no_model_is_refused_whatever_keras_and_tensorflow_are_told_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "a backend that is not installed")
    monkeypatch.setenv("XLA_FLAGS", "--an_unknown_flag")
    (tmp_path / "not.tflite").write_bytes(b"not a model at all")
    with pytest.raises(FruitsError, match=r"not\.tflite is no LiteRT model"):
        load_model(str(tmp_path / "not.tflite"), str(tmp_path))
    (tmp_path / "not.h5").write_bytes(b"not a model at all")
    with pytest.raises(FruitsError, match=r"not\.h5 holds neither a Keras model nor the weights of MobileNetV2"):
        load_model(str(tmp_path / "not.h5"), str(tmp_path))


def test_weights_of_another_model_or_with_code_in_them_are_refused_by_name(keras: Keras) -> None:
    narrow, dense, *with_code = [line for line in keras.refusals.splitlines() if line.startswith("/")]
    assert "narrow.weights.h5 holds neither a Keras model nor the weights of MobileNetV2 1.0/224" in narrow
    assert "dense.keras takes (None, 8), and a network of features takes photos alone" in dense
    assert all("has a part 'Lambda', which may run code as it is loaded" in line for line in with_code)
    assert len(with_code) == 2
    assert "it ran" not in keras.refusals
