"""Keras models of random weights, saved by Keras in a process of its own, and what Keras itself gives for pixels."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_MADE = """
import sys, keras, numpy as np
from pathlib import Path

directory = Path(sys.argv[1])
applications, layers = keras.applications, keras.layers
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)

def application(name, height, width, **options):
    return getattr(applications, name)(
        weights=None, include_top=False, pooling="avg", input_shape=(height, width, 3), **options
    )

models = {
    "mobilenet_v3.keras": application("MobileNetV3Small", 96, 128),
    "efficientnet.keras": application("EfficientNetB0", 128, 128),
    "narrow.keras": application("MobileNetV2", 96, 96, alpha=0.35),
    "whole.h5": application("MobileNet", 64, 64, alpha=0.25),
}
for name, model in models.items():
    pixels = np.load(directory / f"{name}.pixels.npy").astype(np.float32)
    taken = pixels if name in sys.argv[2:] else pixels / 127.5 - 1
    # Normalised by the photos' own statistics: else the signal of random weights shrinks from layer to layer.
    normalisations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in normalisations:
        layer.momentum = 0.0
    model(taken, training=True)
    for layer in normalisations:
        layer.momentum = 0.99
    model.save(directory / name)
    np.save(directory / f"{name}.features.npy", model.predict(taken, verbose=0))

def saved(name, inputs, outputs):
    keras.Model(inputs, outputs).save(directory / name)

image = keras.Input((64, 64, 3))
convolved = layers.Conv2D(8, 3)(image)
pooled = layers.GlobalAveragePooling2D()(convolved)
saved("map.keras", image, convolved)
saved("two_outputs.keras", image, [pooled, layers.Dense(4)(pooled)])
other = keras.Input((64, 64, 3))
saved("two_inputs.keras", [image, other], layers.Concatenate()([pooled, layers.GlobalAveragePooling2D()(other)]))
first = keras.Input((3, 64, 64))
saved("channels_first.keras", first, layers.GlobalAveragePooling2D(data_format="channels_first")(first))
grey = keras.Input((64, 64, 1))
saved("grey.keras", grey, layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(grey)))
free = keras.Input((None, None, 3))
saved("free.keras", free, layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(free)))
broken = keras.Model(image, layers.Dense(4, kernel_initializer=keras.initializers.Constant(np.nan))(pooled))
broken.save(directory / "broken.keras")

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

model = keras.Model(image, pooled)
function = tf.function(lambda taken: model(taken, training=False))
frozen = convert_variables_to_constants_v2(function.get_concrete_function(tf.TensorSpec([1, 64, 64, 3], tf.float32)))
for name, of_pixels in (("quantised.tflite", tf.int8), ("quantised_inside.tflite", tf.float32)):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[random.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)]] * 4
    converter.inference_input_type = converter.inference_output_type = of_pixels
    (directory / name).write_bytes(converter.convert())
"""


@dataclass(frozen=True)
class KerasNetwork:
    """A network that Keras has made.

    Attributes:
        file: Its file.
        scaling: How it wants pixels.
        size: Height and width of its input.
        features: What Keras gives for each photo, of shape (photos, features).
    """

    file: Path
    scaling: str
    size: tuple[int, int]
    features: NDArray[np.float32]


# The scaling and the size of each network, by the name of its file.
NETWORKS = {
    "mobilenet_v3.keras": ("raw", (96, 128)),
    "efficientnet.keras": ("raw", (128, 128)),
    "narrow.keras": ("tf", (96, 96)),
    "whole.h5": ("tf", (64, 64)),
}


def make_networks(directory: Path, pixels: Mapping[tuple[int, int], Pixels]) -> dict[str, KerasNetwork]:
    """Makes the networks, and files of models that are none beside them.

    Args:
        directory: Where the files come to lie.
        pixels: The photos at each size, of shape (photos, height, width, 3).
    """
    for name, (_, size) in NETWORKS.items():
        np.save(directory / f"{name}.pixels.npy", pixels[size])
    raw = [name for name, (scaling, _) in NETWORKS.items() if scaling == "raw"]
    subprocess.run([sys.executable, "-c", _MADE, str(directory), *raw], check=True, capture_output=True, text=True)
    return {
        name: KerasNetwork(directory / name, scaling, size, np.load(directory / f"{name}.features.npy"))
        for name, (scaling, size) in NETWORKS.items()
    }
