"""Converts a weights source to the LiteRT model that is broadcast, once; it is cached by the weights' sha256."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyarrow import fs

from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.photos.decoding import PREPROCESSING, SIDE
from spark_steps.storage import locations

FEATURES = 1280
IMAGENET = "imagenet"
# The file that keras.applications.MobileNetV2(weights="imagenet", include_top=False) downloads.
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{IMAGENET_FILE}"
_DOWNLOAD_TIMEOUT_SECONDS = 30
RANDOM_PREFIX = "random:"
_CURRENT = "current.json"
_FILE_SUFFIXES = (".h5", ".keras", ".tflite")
_CONVERSION = threading.Lock()


@dataclass(frozen=True)
class MobileNetModel:
    """MobileNetV2 without its classifier, as executors run it.

    Attributes:
        flatbuffer: The LiteRT model, float32, batch norm folded into the convolutions, about 9 MB.
        fingerprint: sha256 over the flatbuffer and the preprocessing: equal fingerprints give equal features.
        source: The weights source as the user gave it.
        weights_sha256: sha256 of the weights' file; for random weights, of the numbers.
    """

    flatbuffer: bytes
    fingerprint: str
    source: str
    weights_sha256: str


def load_model(source: str, cache: str) -> MobileNetModel:
    """Returns the model of a weights source, from the cache if it was converted before.

    Args:
        source: ``imagenet`` (those of Keras), a path or URI of an .h5, .keras or .tflite file, or
            ``random:<seed>``.
        cache: Directory of the converted models, a normalised location.

    Raises:
        FruitsError: The weights do not exist, cannot be downloaded, or are not those of a MobileNetV2 with 1280
            features for 224 x 224 photos.
    """
    check_source(source)
    with _CONVERSION, TemporaryDirectory(prefix="fruits-weights-") as scratch:
        if source.startswith(RANDOM_PREFIX):
            weights = source
        else:
            weights = download_imagenet() if source == IMAGENET else _local_copy(source, Path(scratch))
        key = _key_of(weights)
        known = f"{cache}/weights-{key}.json"
        if locations.file_type(known) == fs.FileType.NotFound:
            flatbuffer, sha256 = _convert(weights, source, Path(scratch))
            locations.write_bytes(f"{cache}/{_sha256(flatbuffer)}.tflite", flatbuffer)
            # Write this file last: its presence means that the other one is complete.
            locations.write_json(known, {"flatbuffer": _sha256(flatbuffer), "weights_sha256": sha256})
    return _from_cache(cache, locations.read_json(known), source)


def _from_cache(cache: str, known: dict[str, Any], source: str) -> MobileNetModel:
    flatbuffer = locations.read_bytes(f"{cache}/{known['flatbuffer']}.tflite")
    if _sha256(flatbuffer) != known["flatbuffer"]:
        raise FruitsError(
            f"{cache}/{known['flatbuffer']}.tflite is not the network that was written there. Delete it and the files "
            "ending in .json beside it, and run again."
        )
    # The fingerprint is not cached: it includes the present preprocessing, which may have changed since the conversion.
    return MobileNetModel(flatbuffer, _fingerprint(flatbuffer), source, known["weights_sha256"])


def model_for_next(source: str | None, cache: str) -> MobileNetModel:
    """Returns the model for the next features.

    Args:
        source: As in ``load_model``; None for the store's current network, or ImageNet if it has none yet.
        cache: Directory of the converted models, a normalised location.

    Raises:
        FruitsError: As in ``load_model``.
    """
    if source is None and has_current_model(cache):
        return current_model(cache)
    return load_model(source or IMAGENET, cache)


def convert_in_background(source: str | None, cache: str) -> None:
    """Starts ``model_for_next`` in a background thread, and returns at once.

    The conversion takes as long as the start of Spark. Whoever loads the model meanwhile waits for it. An error is
    ignored here; it is raised again when the model is loaded.

    Args:
        source: As in ``model_for_next``.
        cache: Directory of the converted models, a normalised location.
    """

    def convert() -> None:
        with suppress(Exception):
            model_for_next(source, cache)

    threading.Thread(target=convert, name="conversion of the weights", daemon=True).start()


def replaced_network(source: str, cache: str) -> str | None:
    """Returns the source of a store's current network if the given weights would replace it, else None.

    Nothing is converted or downloaded, and TensorFlow is not imported.

    Args:
        source: The weights, as in ``load_model``.
        cache: Directory of the converted models, a normalised location.
    """
    if not has_current_model(cache):
        return None
    current = locations.read_json(f"{cache}/{_CURRENT}")
    key = _key_of(source)
    known = f"{cache}/weights-{key}.json"
    converted = locations.read_json(known) if key and locations.file_type(known) == fs.FileType.File else {}
    same = is_network_of(source, key, converted.get("flatbuffer"), current)
    return None if same else str(current["source"])


def is_network_of(source: str, key: str | None, flatbuffer: str | None, current: Mapping[str, str]) -> bool:
    """Returns whether weights are those of a store's network.

    Args:
        source: The weights.
        key: sha256 of their file; None if it is not on this machine.
        flatbuffer: sha256 of the network that they were converted to; None if they were never converted.
        current: ``source``, ``weights_sha256`` and ``flatbuffer`` of the store's network.
    """
    # Sources are compared only for named weights: a file of the same name may have other contents.
    named = source == IMAGENET or source.startswith(RANDOM_PREFIX)
    same_name = named and source == current["source"]
    return same_name or key == current["weights_sha256"] or flatbuffer == current["flatbuffer"]


def _key_of(source: str) -> str | None:
    """Returns the cache key of weights; None for those of ImageNet if they are not downloaded yet."""
    if source.startswith(RANDOM_PREFIX):
        return source.replace(":", "-")
    if source == IMAGENET:
        return _sha256(kept.read_bytes()) if (kept := _imagenet_file()).exists() else None
    return _sha256(locations.read_bytes(locations.normalise(source)))


def fetch_weights(source: str | None, cache: str) -> None:
    """Downloads the ImageNet weights if ``model_for_next`` needs them and they are not on this machine yet.

    Raises:
        FruitsError: The weights cannot be downloaded; the message has the remedy.
    """
    if source == IMAGENET or (source is None and not has_current_model(cache)):
        download_imagenet()


def has_current_model(cache: str) -> bool:
    """Returns whether features have been made with a model of the cache."""
    return bool(locations.file_type(f"{cache}/{_CURRENT}") != fs.FileType.NotFound)


def make_current(model: MobileNetModel, cache: str) -> None:
    """Makes a model of the cache the current one, with which the next features are made."""
    flatbuffer = _sha256(model.flatbuffer)
    document = {"flatbuffer": flatbuffer, "source": model.source, "weights_sha256": model.weights_sha256}
    locations.write_json(f"{cache}/{_CURRENT}", document)


def current_model(cache: str) -> MobileNetModel:
    """Returns the current model, with which the next features are made.

    Raises:
        FruitsError: There is none yet.
    """
    if not has_current_model(cache):
        raise FruitsError(
            f"There is no network under {cache}. Make features first (fruits run, or the job extract_features)."
        )
    document = locations.read_json(f"{cache}/{_CURRENT}")
    return _from_cache(cache, document, document["source"])


def flatbuffer_of(fingerprint: str, cache: str) -> bytes | None:
    """Returns the converted network with a fingerprint, None if it is not in the cache.

    Args:
        fingerprint: Fingerprint of the network and the present preprocessing, as in the rows of mobilenet_features.
        cache: Directory of the converted models, a normalised location.
    """
    found = (info.base_name for info in locations.list_files(cache) if info.extension == "tflite")
    flatbuffers = (locations.read_bytes(f"{cache}/{name}") for name in sorted(found))
    return next((flatbuffer for flatbuffer in flatbuffers if _fingerprint(flatbuffer) == fingerprint), None)


def check_source(source: str) -> None:
    """Checks a weights source without reading the weights.

    Raises:
        CalledWronglyError: The source is malformed.
        FruitsError: The source is a file that does not exist.
    """
    if source.startswith(RANDOM_PREFIX):
        seed = source.removeprefix(RANDOM_PREFIX)
        if not (seed.isascii() and seed.isdigit() and int(seed) < 2**32):
            raise CalledWronglyError(f"{source!r} names no seed: write random:0, or another whole number below 2^32.")
    elif source != IMAGENET:
        location = locations.normalise(source)
        if not location.lower().endswith(_FILE_SUFFIXES):
            raise CalledWronglyError(
                f"Weights {source!r} are none of: imagenet, random:<seed>, or a file ending in "
                f"{', '.join(_FILE_SUFFIXES)}."
            )
        if locations.file_type(location) != fs.FileType.File:
            raise FruitsError(f"There is no weights file {location}. Check the path, or give imagenet as weights.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fingerprint(flatbuffer: bytes) -> str:
    return _sha256(PREPROCESSING.encode() + b"\0" + flatbuffer)


def _local_copy(source: str, scratch: Path) -> str:
    location = locations.normalise(source)
    if "://" not in location:
        return location
    copy = scratch / location.rsplit("/", 1)[1]
    copy.write_bytes(locations.read_bytes(location))
    return str(copy)


def download_imagenet() -> str:
    """Returns the file of the ImageNet weights, and downloads it if it is not on this machine yet.

    Keras would do so too, but after the import of TensorFlow, which takes seconds, and it writes to the final name of
    the file as it downloads it, where another process would take the part for the whole.

    Raises:
        FruitsError: The file cannot be downloaded; the message has the remedy.
    """
    kept = _imagenet_file()
    if not kept.exists():
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=kept.parent) as scratch:
                _download(_IMAGENET_URL, Path(scratch) / kept.name).replace(kept)
        except OSError as error:
            raise FruitsError(
                f"The ImageNet weights cannot be downloaded ({error}). Bring {IMAGENET_FILE} from a machine that can, "
                "and give its path as weights; random:0 are weights to try things with, whose features mean nothing."
            ) from error
    return str(kept)


def _download(url: str, target: Path) -> Path:
    # Imported here: it takes a twentieth of a second, and nearly no command downloads.
    from urllib.request import urlopen

    # Without a timeout a firewall that drops packets makes the download hang for ever.
    with urlopen(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as answer, target.open("wb") as file:  # noqa: S310
        shutil.copyfileobj(answer, file)
        wanted = int(answer.headers.get("Content-Length", file.tell()))
        if file.tell() != wanted:
            raise OSError(f"the connection ended after {file.tell()} of {wanted} bytes")
    return target


def _imagenet_file() -> Path:
    # The path of Keras' cache (keras.src.backend.config.keras_home). Asking Keras would import TensorFlow for seconds.
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / IMAGENET_FILE


def _convert(weights: str, source: str, scratch: Path) -> tuple[bytes, str]:
    if weights.lower().endswith(".tflite"):
        flatbuffer = Path(weights).read_bytes()
        _check_flatbuffer(flatbuffer, source)
        return flatbuffer, _sha256(flatbuffer)
    target = scratch / "model.tflite"
    result = _run_keras([weights, str(target), source])
    flatbuffer = target.read_bytes()
    _check_flatbuffer(flatbuffer, source)
    return flatbuffer, str(result["weights_sha256"])


def _check_flatbuffer(flatbuffer: bytes, source: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        takes = list(interpreter.get_input_details()[0]["shape_signature"])
        gives = list(interpreter.get_output_details()[0]["shape_signature"])
    except (ValueError, RuntimeError, IndexError) as error:
        raise FruitsError(f"{source} is no LiteRT model: {error}") from error
    if takes[1:] != [SIDE, SIDE, 3] or gives[1:] != [FEATURES]:
        raise FruitsError(
            f"{source} is another model: it takes {takes} and gives {gives}, and this platform needs "
            f"[N, {SIDE}, {SIDE}, 3] and [N, {FEATURES}]: MobileNetV2 1.0/224 with include_top=False, pooling='avg'."
        )


def _run_keras(arguments: list[str]) -> dict[str, Any]:
    """Runs ``keras_model`` in a separate process, so that TensorFlow's 600 MB of memory are freed when it ends."""
    # Without the options of other programs, which choose another backend or end TensorFlow by an unknown flag.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "XLA_"))}
    own = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    # -P: import no module from the current directory, which may hold photos and files of other people.
    command = [sys.executable, "-P", "-m", "spark_steps.features.keras_model", *arguments]
    done = subprocess.run(command, env=inherited | own, capture_output=True, text=True, check=False)  # noqa: S603
    lines = done.stdout.strip().splitlines()
    try:
        result: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError) as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise FruitsError(
            f"TensorFlow could not read the weights and ended with code {done.returncode}: {last}"
        ) from error
    if "error" in result:
        raise FruitsError(result["error"])
    return result
