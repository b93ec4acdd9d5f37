"""Runs the network in one process with LiteRT, without Spark and TensorFlow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_steps.features.weights import FEATURES
from spark_steps.photos.decoding import Photo, network_input
from spark_steps.photos.standard_error import quiet_standard_error


class FeatureExtractor:
    """The network in one process: one single-threaded interpreter, reused by all tasks of the process."""

    _of_this_process: tuple[str, "FeatureExtractor"] | None = None

    def __init__(self, flatbuffer: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # LiteRT prints a message about its XNNPACK delegate, once for each worker.
        with quiet_standard_error():
            self._interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    @classmethod
    def of_process(cls, fingerprint: str, flatbuffer: Any) -> "FeatureExtractor":
        """Returns this process's extractor for a model, created at the first call.

        Args:
            fingerprint: The model's fingerprint.
            flatbuffer: The broadcast of its bytes, read only if the extractor has to be created.
        """
        if cls._of_this_process is None or cls._of_this_process[0] != fingerprint:
            cls._of_this_process = (fingerprint, cls(flatbuffer.value))
        return cls._of_this_process[1]

    def extract(self, photo: Photo) -> NDArray[np.float32]:
        """Returns the features of a photo, float32 of shape (1280,).

        Photos are run one at a time: batches of 2, 4 and 8 are no faster with one thread, and a photo's features cannot
        depend on the other photos of a batch.
        """
        self._interpreter.set_tensor(self._input, network_input(photo))
        self._interpreter.invoke()
        features: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        assert features.shape == (FEATURES,)  # noqa: S101
        return features
