"""Runs the network in one process, without Spark and TensorFlow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_steps.features.engines import ENGINES
from spark_steps.features.network import MOBILENET_V2, NetworkSpec, network_input
from spark_steps.photos.decoding import Photo
from spark_steps.photos.standard_error import quiet_standard_error


class FeatureExtractor:
    """The network in one process: one single-threaded engine, reused by all tasks of the process."""

    _of_this_process: tuple[str, "FeatureExtractor"] | None = None

    def __init__(self, flatbuffer: bytes, spec: NetworkSpec = MOBILENET_V2) -> None:
        """Makes the engine ready.

        Args:
            flatbuffer: The network's file, as ``MobileNetModel`` has it.
            spec: What the network takes and gives.
        """
        self.spec = spec
        # LiteRT prints a message about its XNNPACK delegate, once for each worker.
        with quiet_standard_error():
            self._engine = ENGINES[spec.format](flatbuffer, spec)

    @classmethod
    def of_process(cls, fingerprint: str, flatbuffer: Any, spec: NetworkSpec = MOBILENET_V2) -> "FeatureExtractor":
        """Returns this process's extractor for a model, created at the first call.

        Args:
            fingerprint: The model's fingerprint.
            flatbuffer: The broadcast of its bytes, read only if the extractor has to be created.
            spec: What the model takes and gives.
        """
        if cls._of_this_process is None or cls._of_this_process[0] != fingerprint:
            cls._of_this_process = (fingerprint, cls(flatbuffer.value, spec))
        return cls._of_this_process[1]

    def extract(self, photo: Photo) -> NDArray[np.float32]:
        """Returns the features of a photo, float32 of shape (features,) of the network.

        Photos are run one at a time: batches of 2, 4 and 8 are no faster with one thread, and a photo's features cannot
        depend on the other photos of a batch.

        Args:
            photo: The photo, decoded to ``spec.size``.
        """
        features: NDArray[np.float32] = self._engine.run(network_input(photo.pixels, self.spec))[0]
        assert features.shape == (self.spec.features,)  # noqa: S101
        return features
