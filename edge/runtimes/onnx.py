"""onnxruntime with one execution provider, and its CPU provider behind that for the nodes that it does not take."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.runtimes.runtime import Graph, Model, Settings, UnavailableError, first_line

__all__ = ["CPU", "OnnxRuntime", "forget_model", "load", "onnxruntime", "session_options"]

CPU = "CPUExecutionProvider"


def onnxruntime() -> Any:
    """The module.

    Raises:
        UnavailableError: when it is not installed or cannot be loaded.
    """
    try:
        import onnxruntime as ort
    except ImportError as e:
        raise UnavailableError(
            f"onnxruntime is not usable here ({e}): pip install 'gluon-edge[cpu]' (or [gpu]; Jetson: NVIDIA's wheel)"
        ) from e
    return ort


def session_options(ort: Any, settings: Settings) -> Any:
    """onnxruntime.SessionOptions for a node that has other things to do too."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    # The arena keeps what one run needs, which with one input shape does not grow (see `OnnxRuntime`). Without it every
    # run maps and unmaps its buffers anew: see docs/performance.md for what that costs and saves.
    options.enable_cpu_mem_arena = not settings.low_memory
    options.log_severity_level = 3
    # One picture at a time (decision 8): sizes that are known when the graph is loaded are computed and planned for then.
    options.add_free_dimension_override_by_name("N", 1)
    # Spinning buys a few percent of latency for whole cores of heat.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OnnxRuntime:
    """An `onnxruntime.InferenceSession` that runs. With `arena` its first run gives back what only that one needed.

    The first run of an input shape takes its buffers one by one and notes when each lives; from the second on they are
    laid out in one block by that (onnxruntime's memory pattern), and what the first took would stay beside it unused,
    which is up to half of the process. So the first run ends with the arena empty; none after it is any slower.
    """

    def __init__(self, session: Any, name: str, *, arena: bool = False) -> None:
        self.name = name
        self.graph = Graph(
            {i.name: (i.type, tuple(i.shape)) for i in session.get_inputs()},
            frozenset(o.name for o in session.get_outputs()),
        )
        self._session = session
        self._input = session.get_inputs()[0].name if self.graph.inputs else ""
        self._first = _emptying_the_arena() if arena else None

    def run(self, image: NDArray[np.uint8], names: Sequence[str]) -> list[NDArray[Any]]:
        """See `Runtime`."""
        options, self._first = self._first, None
        found: list[NDArray[Any]] = self._session.run(names, {self._input: image}, options)
        return found


def _emptying_the_arena() -> Any:
    """onnxruntime.RunOptions; a session without an arena of the CPU refuses them."""
    options = onnxruntime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def forget_model(session: Any) -> Any:
    """The same session, without the file's bytes that it keeps to be made anew with other providers, which it never is."""
    if hasattr(session, "_model_bytes"):
        session._model_bytes = None  # noqa: SLF001 - it has no other way
    return session


def load(
    model: Model,
    provider: str,
    settings: Settings,
    options: Mapping[str, str] | None = None,
    *,
    behind: Sequence[str] = (),
    prepare: Callable[[Any], None] = lambda _options: None,
) -> Any:
    """An `onnxruntime.InferenceSession` that really runs on `provider`, with `behind` and the CPU for the rest.

    `prepare` may change the session's options.

    Raises:
        UnavailableError: when this build lacks the provider, or its libraries or its device are missing.
    """
    ort = onnxruntime()
    if provider not in ort.get_available_providers():
        raise UnavailableError("not in this build of onnxruntime")
    session = session_options(ort, settings)
    prepare(session)
    chain: list[Any] = [(provider, dict(options or {})), *behind]
    if provider != CPU:
        chain.append(CPU)
    try:
        # Without its own fall-back, which goes on with another provider and says so on standard output only.
        made = forget_model(ort.InferenceSession(model, session, providers=chain, enable_fallback=0))
    except Exception as e:  # onnxruntime raises bare classes of its own, without a common base
        raise UnavailableError(first_line(e)) from e
    if made.get_providers()[0] != provider:
        # A provider whose libraries cannot be loaded is left out with a line in the log.
        raise UnavailableError("its libraries or its device are missing")
    return made
