"""The engines that run a network in one process, each with one thread: LiteRT and ONNX Runtime, without TensorFlow."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from spark_steps.features.network import LITERT, ONNX, NetworkSpec

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Numbers = NDArray[np.float32]
# ONNX Runtime's level of fatal errors: it raises all others as exceptions too.
_FATAL = 4


class Engine(Protocol):
    """A network that is ready to run."""

    def run(self, taken: Numbers) -> Numbers:
        """Returns the network's output for an input of one photo."""
        ...


class LiteRt:
    """LiteRT, which is also TensorFlow Lite."""

    def __init__(self, content: bytes, spec: NetworkSpec, *, delegates: bool = True) -> None:
        """Makes the interpreter ready.

        Args:
            content: The network's file.
            spec: What the network takes and gives.
            delegates: Whether to use XNNPACK, which is several times as fast, and prints a message to standard error.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
        taken = self._interpreter.get_input_details()[0]
        if tuple(taken["shape"]) != spec.input_shape:
            self._interpreter.resize_tensor_input(taken["index"], spec.input_shape)
        self._interpreter.allocate_tensors()
        self._input = taken["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, taken: Numbers) -> Numbers:
        """Returns the network's output for an input of one photo."""
        self._interpreter.set_tensor(self._input, taken)
        self._interpreter.invoke()
        output: Numbers = self._interpreter.get_tensor(self._output)
        return output


def onnx_session(content: bytes) -> "InferenceSession":
    """Returns a session of ONNX Runtime for a model that ``refuse_foreign_parts`` has let pass."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Its own format, which it would recognise by itself, has not been looked through.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxRuntime:
    """ONNX Runtime on the processor."""

    def __init__(self, content: bytes, _: NetworkSpec) -> None:
        self._session = onnx_session(content)
        self._input = self._session.get_inputs()[0].name

    def run(self, taken: Numbers) -> Numbers:
        """Returns the network's output for an input of one photo."""
        output: Numbers = self._session.run(None, {self._input: taken})[0]
        return output


ENGINES: dict[str, Callable[[bytes, NetworkSpec], Engine]] = {LITERT: LiteRt, ONNX: OnnxRuntime}
