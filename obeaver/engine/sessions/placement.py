"""What computes a loaded graph: the chosen execution provider, and what it left to onnxruntime's CPU provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from obeaver.engine.sessions.providers import CPU


@dataclass(frozen=True, slots=True)
class Placement:
    """Which provider computes a loaded graph, and how much of it.

    Attributes:
        provider: The chosen one: `cpu`, `openvino`.
        device: What it computes on: `cpu`, `gpu` or `npu`.
        num_nodes: Nodes of the graph, as onnxruntime had them when it gave them away; 0 where it is not known.
        left_to_cpu: Operators that the provider did not take and the CPU provider computes, with how often they occur.
    """

    provider: str = CPU
    device: str = "cpu"
    num_nodes: int = 0
    left_to_cpu: Mapping[str, int] = field(default_factory=dict)

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes each provider computes; empty where it is not known."""
        counts = {self.provider: self.num_nodes - self.num_left, CPU: self.num_left}
        return {name: count for name, count in counts.items() if count}

    @property
    def num_left(self) -> int:
        """Nodes that the provider did not take."""
        return sum(self.left_to_cpu.values())

    def __str__(self) -> str:
        if self.provider == CPU:
            return "CPU"
        name = f"{self.provider} on {self.device}"
        if not self.num_nodes:
            return name
        taken = f"{name} ({self.num_nodes - self.num_left} of {self.num_nodes} nodes"
        if not self.left_to_cpu:
            return f"{taken})"
        left = ", ".join(f"{count} {op_type}" for op_type, count in sorted(self.left_to_cpu.items()))
        return f"{taken}; on cpu: {left})"
