"""Converts a Keras model to LiteRT; the only module that imports TensorFlow.

``spark_steps.features.weights`` runs it as a separate process. The last line of its output is a JSON object: the
result, or ``{"error": "..."}``.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from spark_steps.errors import FruitsError
from spark_steps.features.keras_classes import refuse_foreign_classes
from spark_steps.features.names import RANDOM_PREFIX, RAW
from spark_steps.photos.decoding import SIDE

# Keras imports these where they are installed, and a conversion uses none: it takes 4.5 s without, 5.7 s with them.
_UNUSED_BY_KERAS = ("matplotlib", "pandas", "scipy", "sklearn")
# A Rescaling by less than this is of pixels from 0 to 255: it divides them by 127.5 or 255.
_SCALE_OF_RAW_PIXELS = 0.1


def _import_keras() -> Any:
    """Returns Keras with its default types and layouts: a file ``~/.keras/keras.json`` may have others."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return keras


def build_model(weights: str, source: str) -> Any:
    """Returns the Keras model of a weights file or of ``random:<seed>``.

    Args:
        weights: Path of an .h5 or .keras file, or ``random:<seed>``.
        source: The weights source as the user gave it, for messages.

    Raises:
        FruitsError: The file holds neither a Keras model nor the weights of a MobileNetV2 1.0/224 without its
            classifier, or could run code.
    """
    keras = _import_keras()

    def mobilenet(file: str | None) -> Any:
        return keras.applications.MobileNetV2(
            input_shape=(SIDE, SIDE, 3), weights=file, include_top=False, pooling="avg"
        )

    if weights.startswith(RANDOM_PREFIX):
        model = mobilenet(None)
        randomise(model, int(weights.removeprefix(RANDOM_PREFIX)))
        return model
    try:
        if _holds_weights_only(weights):
            model = mobilenet(weights)
        else:
            refuse_foreign_classes(weights, source)
            model = keras.models.load_model(weights, compile=False, safe_mode=True)
    except FruitsError:
        raise
    # Keras and h5py raise half a dozen kinds of errors for a file that they cannot read; all mean the same here.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FruitsError(
            f"{source} holds neither a Keras model nor the weights of MobileNetV2 1.0/224 with include_top=False "
            f"({reason}). Give a whole model, as model.save('name.keras') writes it, or imagenet, as weights."
        ) from error
    return model


def randomise(model: Any, seed: int) -> None:
    """Sets random kernels after He et al. (2015): variance 2 / inputs before a ReLU, 1 / inputs elsewhere.

    Keras' initial kernels shrink the signal at every layer, to features near 1e-11.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        kernels = [weight for weight in layer.trainable_weights if len(weight.shape) == 4]
        for kernel in kernels:
            height, width, inputs, _ = kernel.shape
            depthwise = "depthwise" in layer.name
            gain = 1 if layer.name.endswith("project") else 2
            scale = np.sqrt(gain / (height * width * (1 if depthwise else inputs)))
            kernel.assign(random.normal(0, scale, kernel.shape).astype(np.float32))


def _holds_weights_only(file: str) -> bool:
    if not file.lower().endswith(".h5"):
        return False
    import h5py

    with h5py.File(file) as content:
        return "model_config" not in content.attrs


def input_size(model: Any, source: str) -> tuple[int, int]:
    """Returns the height and width that a model takes; where it takes any, those of MobileNetV2.

    Args:
        model: The Keras model.
        source: The weights source as the user gave it, for messages.

    Raises:
        FruitsError: It does not take photos, the channels last.
    """
    shapes = [tuple(one.shape) for one in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise FruitsError(
            f"{source} takes {', '.join(map(str, shapes))}, and a network of features takes photos alone: "
            "(None, height, width, 3). Give such a model."
        )
    _, height, width, _ = shapes[0]
    return height or SIDE, width or SIDE


def check_scaling(model: Any, scaling: str, source: str) -> None:
    """Raises a FruitsError if a model scales pixels itself that would be scaled before.

    Only a model that begins with Keras' layer Rescaling is recognised.

    Args:
        model: The Keras model.
        scaling: The scaling that was asked for.
        source: The weights source as the user gave it, for messages.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    if scaling == RAW or not layers or type(layers[0]).__name__ != "Rescaling":
        return
    if np.max(np.abs(layers[0].scale)) < _SCALE_OF_RAW_PIXELS:
        raise FruitsError(
            f"{source} scales pixels from 0 to 255 itself (its layer {layers[0].name!r}). Give them unscaled: "
            f"FRUITS_SCALING={RAW}."
        )


def convert(model: Any, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """Converts a Keras model to a LiteRT flatbuffer: float32, batch norm folded, for any batch size.

    Args:
        model: The Keras model.
        size: Height and width of its input.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = tf.TensorSpec([None, *size, 3], tf.float32)
    function = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape)
    # Converting the function directly leaves the weights out without an error (TensorFlow 2.21 with Keras 3), and the
    # model returns NaN. With variables frozen to constants the weights are included, and the conversion is ten times
    # faster than TFLiteConverter.from_keras_model.
    frozen = convert_variables_to_constants_v2(function)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())


def _weights_sha256(model: Any, weights: str) -> str:
    if not weights.startswith(RANDOM_PREFIX):
        return hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(array.tobytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> dict[str, str]:
    """Runs ``WEIGHTS TARGET SOURCE SCALING``, and returns the result to print."""
    weights, target, source, scaling = arguments
    model = build_model(weights, source)
    size = input_size(model, source)
    check_scaling(model, scaling, source)
    Path(target).write_bytes(convert(model, size))
    return {"weights_sha256": _weights_sha256(model, weights)}


if __name__ == "__main__":
    for name in _UNUSED_BY_KERAS:
        # Python then takes the package for missing.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        outcome = main(sys.argv[1:])
    except FruitsError as problem:
        outcome = {"error": str(problem)}
    sys.stdout.write("\n" + json.dumps(outcome) + "\n")
    sys.stdout.flush()
    # TensorFlow takes more than half a second to tidy up.
    os._exit(0)
