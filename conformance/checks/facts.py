"""What is known of a server before it is asked anything."""

import time
from dataclasses import dataclass
from typing import Any

CLOCK_SKEW_S = 600


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The ids that `/models` lists; the first one is asked for."""

    model_ids: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model to ask for."""
        return self.model_ids[0] if self.model_ids else "default"

    def envelope_violations(self, value: dict[str, Any]) -> list[str]:
        """What is wrong with what every answer of a model begins with."""
        found = []
        if not value.get("id"):
            found.append("the answer has no id")
        created = value.get("created")
        if not isinstance(created, int) or abs(created - time.time()) > CLOCK_SKEW_S:
            found.append(f"created is {created!r}, which is not now in whole seconds")
        return found + self.model_violations(value)

    def model_violations(self, value: dict[str, Any]) -> list[str]:
        """Whether the answer names a model of the server's."""
        if self.model_ids and value.get("model") not in self.model_ids:
            return [f"the answer names the model {value.get('model')!r}, which /models does not list"]
        return []
