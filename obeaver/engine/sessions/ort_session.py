"""Sessions of onnxruntime on a chosen execution provider, and what that provider took of the graph.

A provider computes the parts of a graph that it has kernels for, and onnxruntime gives the rest to its CPU provider
without a word. So each session is asked what it gave to whom.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

from obeaver import huge_pages
from obeaver.engine.sessions.openvino_graph import openvino_graph
from obeaver.engine.sessions.placement import Placement
from obeaver.engine.sessions.providers import ProviderChoice
from obeaver.engine.sessions.telemetry import TELEMETRY_OFF
from obeaver.errors import ProviderError

_RECORD_ASSIGNMENT: Final = "session.record_ep_graph_assignment_info"
_WEIGHTS_FOLDER: Final = "session.model_external_initializers_file_folder_path"
# Errors come back as exceptions with the same text; on stderr they would stand twice.
_FATAL_ONLY: Final = 4
# As onnxruntime calls plain memory of the process.
_HOST_MEMORY: Final = "Cpu"
_OPENVINO: Final = "openvino"
_CPU_EP: Final = "CPUExecutionProvider"


def open_session(
    graph: Path, options: Any, choice: ProviderChoice, *, edited: bytes | None = None
) -> tuple[Any, Placement]:
    """Load a graph.

    Args:
        graph: The .onnx file.
        options: onnxruntime's SessionOptions; gets the provider.
        choice: What is to compute.
        edited: The graph as it is to be computed, if not as it stands in the file; its weights may stand beside that.

    Returns:
        The session, and what became of the choice.

    Raises:
        ProviderError: The provider takes nothing of this graph.
        Exception: onnxruntime does not load it; its classes have no common one.
    """
    session, placement = _open(graph, options, choice, edited)
    huge_pages.use_soon()
    return session, placement


def _open(graph: Path, options: Any, choice: ProviderChoice, edited: bytes | None) -> tuple[Any, Placement]:
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime as ort

    if choice.name == _OPENVINO:
        edited = openvino_graph(graph)
    model: str | bytes = str(graph) if edited is None else edited
    if edited is not None:
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph.parent))
    if choice.is_cpu:
        return ort.InferenceSession(model, options, providers=[_CPU_EP]), Placement()
    options.add_session_config_entry(_RECORD_ASSIGNMENT, "1")
    if choice.device.handle is None:
        session = ort.InferenceSession(model, options, providers=[choice.provider.ep_name, _CPU_EP])
    else:
        options.add_provider_for_devices([choice.device.handle], provider_options(choice, options.intra_op_num_threads))
        session = ort.InferenceSession(model, options)
    return session, _placement(session, graph, choice)


def copied_inputs(session: Any) -> frozenset[str]:
    """Inputs that the provider wants in memory of its own: their contents are copied when they are bound."""
    infos = zip(session.get_inputs(), session.get_input_memory_infos(), strict=True)
    return frozenset(tensor.name for tensor, memory in infos if memory.name != _HOST_MEMORY)


def provider_options(choice: ProviderChoice, num_threads: int) -> dict[str, str]:
    """How a provider is to compute: with our threads, and in float32.

    Left to itself, OpenVINO rounds to bfloat16 on processors that have instructions for it, which changes answers.
    """
    if choice.name == _OPENVINO and choice.in_host_memory:
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": num_threads}
        return {"load_config": json.dumps({"CPU": config})}
    return {}


def placement_of(graph: Path, choice: ProviderChoice) -> Placement:
    """What a provider takes of a graph; loads it and forgets it.

    Raises:
        Exception: As for `open_session`.
    """
    os.environ.update(TELEMETRY_OFF)
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    return open_session(graph, options, choice)[1]


def _placement(session: Any, graph: Path, choice: ProviderChoice) -> Placement:
    nodes: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        ops = Counter(node.op_type for node in part.get_nodes())
        nodes += ops
        if part.ep_name != choice.provider.ep_name:
            left += ops
    if nodes.total() == left.total():
        raise ProviderError(f"the execution provider {choice.name} takes none of the nodes of {graph.name}")
    return Placement(choice.name, choice.device.kind, nodes.total(), dict(left))
