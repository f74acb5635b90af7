"""Let schemathesis loose on a server by what its `/openapi.json` says: `python tests/fuzz_openapi.py [EXAMPLES]`.

All of its checks on all operations, but for one: that what the schemas allow is accepted (`positive_data_acceptance`)
cannot hold for the operations of `BOUND`, where one parameter binds another, or the model or the store does. There the
description has it in words, and the conformance tests ask for the errors.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TESTS = Path(__file__).parent
ACCEPTANCE: Final = "positive_data_acceptance"

BOUND: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "one form of an answer excludes another; `stream_options` needs `stream`",
    "/v1/completions": "token ids are below the model's vocabulary; `stream_options` needs `stream`",
    "/v1/messages": "blocks belong to roles; `thinking.budget_tokens` is below `max_tokens`",
    "/v1/messages/count_tokens": "as for /v1/messages; a `tool_choice` needs `tools`",
    "/v1/responses": "items need what their type asks for; a form's schema needs its type",
    "/v1/responses/input_tokens": "as for /v1/responses",
    "/v1/responses/{id}": "`starting_after` needs `stream`",
    "/v1/responses/{id}/cancel": "only what was begun in the background",
    "/v1/tokenize": "what belongs to messages cannot stand beside a `prompt`",
    "/v1/detokenize": "token ids are below the model's vocabulary",
    "/api/chat": "`options.num_ctx` is at most the model's context; each tool stands there once",
    "/api/generate": "as for /api/chat",
    "/api/models/load": "a `device` is one of this machine's",
    "/api/models/pull": "a `name` is for models of the hub, and others have theirs",
    "/api/pull": "either `model` or `name`, whichever clients send",
    "/api/show": "as for /api/pull",
}
"""Paths to what binds their parameters."""


def main(num_examples: str) -> int:
    """Serve a small random model, and try so many requests of each operation; the exit status."""
    from support.chat_app import make_model
    from support.server_process import serve

    from obeaver.models.store import Store

    with tempfile.TemporaryDirectory() as home:
        make_model(Store(Path(home)), "small", context=1024, kv="int8")
        with serve("small", "--home", home) as server:
            status = _run(server.url, num_examples, ["--checks", "all", "--exclude-checks", ACCEPTANCE])
            left_out = [word for path in BOUND for word in ("--exclude-path", path)]
            status = _run(server.url, num_examples, ["--checks", ACCEPTANCE, *left_out]) or status
            alive = server.process.poll() is None
    return status if alive else 1


def _run(url: str, num_examples: str, checks: Sequence[str]) -> int:
    phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", num_examples]
    program = Path(sys.executable).with_name("st")
    hooks = {**os.environ, "PYTHONPATH": str(TESTS), "SCHEMATHESIS_HOOKS": "support.schemathesis_hooks"}
    line = [str(program), "run", f"{url}/openapi.json", *checks, *phases]
    return subprocess.run(line, check=False, env=hooks).returncode


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    sys.exit(main(*sys.argv[1:] or ["15"]))
