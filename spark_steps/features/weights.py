"""Makes of a weights source the network that is broadcast, once; it is cached by the weights' sha256."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from spark_steps.at_exit import temporary_directory
from spark_steps.errors import CalledWronglyError, FruitsError
from spark_steps.features.imagenet import download_imagenet, imagenet_file
from spark_steps.features.inspection import inspected
from spark_steps.features.names import IMAGENET, RANDOM_PREFIX, TF, check_scaling
from spark_steps.features.network import LITERT, MOBILENET_V2, ONNX, SUFFIXES, NetworkSpec
from spark_steps.photos.decoding import PREPROCESSING
from spark_steps.storage import locations

# The width of the default network.
FEATURES = MOBILENET_V2.features
_CURRENT = "current.json"
_FILE_SUFFIXES = (".h5", ".keras", ".tflite", ".onnx")
_CONVERSION = threading.Lock()


@dataclass(frozen=True)
class MobileNetModel:
    """The network of a store, as executors run it: MobileNetV2 without its classifier, unless it was given another.

    Attributes:
        flatbuffer: The network's file. Of MobileNetV2 it is a LiteRT flatbuffer, float32, batch norm folded into the
            convolutions, about 9 MB; an ONNX model stays what it is.
        fingerprint: sha256 over the file and the preprocessing: equal fingerprints give equal features.
        source: The weights source as the user gave it.
        weights_sha256: sha256 of the weights' file; for random weights, of the numbers.
        spec: What it takes and gives.
    """

    flatbuffer: bytes
    fingerprint: str
    source: str
    weights_sha256: str
    spec: NetworkSpec = MOBILENET_V2


def load_model(source: str, cache: str, scaling: str = TF) -> MobileNetModel:
    """Returns the model of a weights source, from the cache if it was made before.

    Args:
        source: ``imagenet`` (those of Keras), a path or URI of an .h5, .keras, .tflite or .onnx file, or
            ``random:<seed>``.
        cache: Directory of the networks, a normalised location.
        scaling: How the network wants its pixels scaled: one of ``SCALING_NAMES``.

    Raises:
        FruitsError: The weights do not exist, cannot be downloaded, or are not those of a network that gives features
            for a photo.
    """
    check_source(source, scaling)
    with _CONVERSION, temporary_directory("fruits-weights-") as scratch:
        if source.startswith(RANDOM_PREFIX):
            weights = source
        else:
            weights = download_imagenet() if source == IMAGENET else _local_copy(source, scratch)
        known = _record_of(_key_of(weights), scaling, cache)
        if locations.file_type(known) == fs.FileType.NotFound:
            content, sha256, spec = _convert(weights, source, scaling, scratch)
            record = {"flatbuffer": _sha256(content), "weights_sha256": sha256, "network": spec.as_record()}
            locations.write_bytes(_file_of(record, spec, cache), content)
            # Write this file last: its presence means that the other one is complete.
            locations.write_json(known, record)
    return _from_cache(cache, locations.read_json(known), source)


def _record_of(key: str | None, scaling: str, cache: str) -> str:
    """Returns the place of the record of converted weights; a file is another network with another scaling."""
    return f"{cache}/weights-{key}{'' if scaling == TF else f'-{scaling}'}.json"


def _file_of(record: Mapping[str, Any], spec: NetworkSpec, cache: str) -> str:
    return f"{cache}/{record['flatbuffer']}.{SUFFIXES[spec.format]}"


def _from_cache(cache: str, known: dict[str, Any], source: str) -> MobileNetModel:
    spec = NetworkSpec.of_record(known)
    content = locations.read_bytes(file := _file_of(known, spec, cache))
    if _sha256(content) != known["flatbuffer"]:
        raise FruitsError(
            f"{file} is not the network that was written there. Delete it and the files ending in .json beside it, and "
            "run again."
        )
    # The fingerprint is not cached: it includes the present preprocessing, which may have changed since the conversion.
    return MobileNetModel(content, _fingerprint(content, spec), source, known["weights_sha256"], spec)


def model_for_next(source: str | None, cache: str, scaling: str = TF) -> MobileNetModel:
    """Returns the model for the next features.

    Args:
        source: As in ``load_model``; None for the store's current network, or ImageNet if it has none yet.
        cache: Directory of the networks, a normalised location.
        scaling: As in ``load_model``.

    Raises:
        FruitsError: As in ``load_model``.
    """
    check_scaling(source, scaling)
    if source is None and has_current_model(cache):
        return current_model(cache)
    return load_model(source or IMAGENET, cache, scaling)


def convert_in_background(source: str | None, cache: str, scaling: str = TF) -> None:
    """Starts ``model_for_next`` in a background thread, and returns at once.

    The conversion takes as long as the start of Spark. Whoever loads the model meanwhile waits for it. An error is
    ignored here; it is raised again when the model is loaded.

    Args:
        source: As in ``model_for_next``.
        cache: Directory of the networks, a normalised location.
        scaling: As in ``load_model``.
    """

    def convert() -> None:
        with suppress(Exception):
            model_for_next(source, cache, scaling)

    threading.Thread(target=convert, name="conversion of the weights", daemon=True).start()


def replaced_network(source: str, cache: str, scaling: str = TF) -> str | None:
    """Returns the name of a store's current network if the given weights would replace it, else None.

    Nothing is converted or downloaded, and TensorFlow is not imported.

    Args:
        source: The weights, as in ``load_model``.
        cache: Directory of the networks, a normalised location.
        scaling: As in ``load_model``.
    """
    if not has_current_model(cache):
        return None
    current = locations.read_json(f"{cache}/{_CURRENT}")
    key = _key_of(source)
    known = _record_of(key, scaling, cache)
    converted = locations.read_json(known) if key and locations.file_type(known) == fs.FileType.File else {}
    if is_network_of(source, key, converted.get("flatbuffer"), current, scaling):
        return None
    return named(str(current["source"]), NetworkSpec.of_record(current).scaling)


def named(source: str, scaling: str) -> str:
    """Returns the name of a network for messages: its weights, and its scaling unless that is the default one."""
    return source if scaling == TF else f"{source} (scaling {scaling})"


def is_network_of(
    source: str, key: str | None, flatbuffer: str | None, current: Mapping[str, Any], scaling: str = TF
) -> bool:
    """Returns whether weights are those of a store's network.

    Args:
        source: The weights.
        key: sha256 of their file; None if it is not on this machine.
        flatbuffer: sha256 of the network that they were converted to; None if they were never converted.
        current: The record of the store's network.
        scaling: The scaling that is asked for.
    """
    # Sources are compared only for named weights: a file of the same name may have other contents.
    is_named = source == IMAGENET or source.startswith(RANDOM_PREFIX)
    same_name = is_named and source == current["source"]
    same = same_name or key == current["weights_sha256"] or flatbuffer == current["flatbuffer"]
    return same and NetworkSpec.of_record(current).scaling == scaling


def _key_of(source: str) -> str | None:
    """Returns the cache key of weights; None for those of ImageNet if they are not downloaded yet."""
    if source.startswith(RANDOM_PREFIX):
        return source.replace(":", "-")
    if source == IMAGENET:
        return _sha256(kept.read_bytes()) if (kept := imagenet_file()).exists() else None
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
    document = {
        "flatbuffer": _sha256(model.flatbuffer),
        "source": model.source,
        "weights_sha256": model.weights_sha256,
        "network": model.spec.as_record(),
    }
    locations.write_json(f"{cache}/{_CURRENT}", document)


def current_spec(cache: str) -> NetworkSpec:
    """Returns what the current model takes and gives, without reading the model; of none yet, what MobileNetV2 does."""
    if not has_current_model(cache):
        return MOBILENET_V2
    return NetworkSpec.of_record(locations.read_json(f"{cache}/{_CURRENT}"))


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


def find_network(fingerprint: str, cache: str) -> tuple[bytes, NetworkSpec] | None:
    """Returns the file of the network with a fingerprint, and what it takes and gives; None if it is not in the cache.

    Args:
        fingerprint: Fingerprint of the network and the present preprocessing, as in the rows of mobilenet_features.
        cache: Directory of the networks, a normalised location.
    """
    files = locations.list_files(cache)
    records = [locations.read_json(f"{cache}/{file.base_name}") for file in files if file.extension == "json"]
    for file in sorted(file.base_name for file in files if file.extension in SUFFIXES.values()):
        name, _, suffix = file.rpartition(".")
        declared = {NetworkSpec.of_record(record) for record in records if record.get("flatbuffer") == name}
        content = locations.read_bytes(f"{cache}/{file}")
        for spec in declared or {MOBILENET_V2}:
            if SUFFIXES[spec.format] == suffix and _fingerprint(content, spec) == fingerprint:
                return content, spec
    return None


def check_source(source: str, scaling: str = TF) -> None:
    """Checks a weights source and its scaling without reading the weights.

    Raises:
        CalledWronglyError: The source is malformed, or the scaling is not for it.
        FruitsError: The source is a file that does not exist.
    """
    check_scaling(source, scaling)
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


def _fingerprint(content: bytes, spec: NetworkSpec) -> str:
    # That of MobileNetV2 has no text of its own, so that it is the one that it was before there were other networks.
    own = "" if spec.preparation == MOBILENET_V2.preparation else f"; {spec.preparation}"
    return _sha256(f"{PREPROCESSING}{own}".encode() + b"\0" + content)


def _local_copy(source: str, scratch: Path) -> str:
    location = locations.normalise(source)
    if "://" not in location:
        return location
    copy = scratch / location.rsplit("/", 1)[1]
    copy.write_bytes(locations.read_bytes(location))
    return str(copy)


def _convert(weights: str, source: str, scaling: str, scratch: Path) -> tuple[bytes, str, NetworkSpec]:
    """Returns the network of weights, the sha256 of the weights, and what the network takes and gives."""
    if weights.lower().endswith((".tflite", ".onnx")):
        content = Path(weights).read_bytes()
        file_format = ONNX if weights.lower().endswith(".onnx") else LITERT
        return content, _sha256(content), inspected(content, file_format, scaling, source)
    target = scratch / "model.tflite"
    result = _run_keras([weights, str(target), source, scaling])
    content = target.read_bytes()
    return content, str(result["weights_sha256"]), inspected(content, LITERT, scaling, source)


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
