"""One onnxruntime session as a worker wants it: on the CPU, with a fixed number of threads that sleep when idle."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnxruntime

from inference.repository.model_config import ModelBroken

_ERRORS_ONLY: Final = 3


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph (`.onnx` or `.ort`). Raises ModelBroken where the runtime refuses it.

    Idle threads do not spin: several workers share the cores, and a spinning thread takes time from the others.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own error classes have no common root
        raise ModelBroken(f"{path}: onnxruntime cannot load it: {error}") from error
