"""Checks the classes in a Keras file before Keras loads it: some classes run code from the file.

Keras' safe mode refuses lambdas. It has been bypassed several times (CVE-2025-1550, CVE-2025-8747, CVE-2025-9905 for
.h5, CVE-2025-9906), by classes that are not among these; others read files that they name (CVE-2025-12058).
"""

import json
import zipfile
from collections.abc import Iterator
from typing import Any

from spark_steps.errors import FruitsError

# The layers and operations of networks for images, those of keras.applications among them.
_LAYERS = {
    *("Functional", "Model", "Sequential", "InputLayer", "Identity", "Dropout", "SpatialDropout2D", "GaussianNoise"),
    *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "EinsumDense", "MultiHeadAttention"),
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Rescaling", "Normalization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Divide", "Mean"),
    *("ZeroPadding2D", "Cropping2D", "UpSampling2D", "Flatten", "Reshape", "Permute"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "AveragePooling2D", "MaxPooling2D"),
    *("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
}
_PARTS = {
    *("__keras_tensor__", "__tuple__", "DTypePolicy", "Zeros", "Ones", "Constant", "L1", "L2", "L1L2"),
    *("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "RandomNormal"),
    *("RandomUniform", "TruncatedNormal", "VarianceScaling", "OrthogonalInitializer"),
}


def refuse_foreign_classes(file: str, source: str) -> None:
    """Raises a FruitsError if a file names a class that is not known to run no code as it is loaded.

    Args:
        file: A whole model, .keras or .h5.
        source: The weights source as the user gave it, for messages.
    """
    for named in _objects(_model_config(file)):
        module = str(named.get("module") or "keras")
        if named["class_name"] not in _LAYERS | _PARTS or module.partition(".")[0] != "keras":
            raise FruitsError(
                f"{source} has a part {named['class_name']!r}, which may run code as it is loaded. Convert the model "
                "yourself, to .tflite or .onnx; of a MobileNetV2 give its weights alone, as "
                "model.save_weights('name.weights.h5') writes them."
            )


def _model_config(file: str) -> Any:
    if file.lower().endswith(".keras"):
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    import h5py

    with h5py.File(file) as content:
        return json.loads(content.attrs["model_config"])


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields the objects that Keras would build from a configuration; optimisers and losses are not loaded."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for name, value in config.items():
            if name != "compile_config":
                yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
