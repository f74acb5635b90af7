"""Let schemathesis loose on a server by what its `/openapi.json` says: `python tests/fuzz_openapi.py [EXAMPLES]`.

All of its checks but two. What binds one parameter to another stands in words and not in a schema, so some requests
that the schema allows are refused (`positive_data_acceptance`); and what clients of other servers send is understood,
though the schema does not have it (`negative_data_rejection`).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
LEFT_OUT = "positive_data_acceptance,negative_data_rejection"


def main(num_examples: str) -> int:
    """Serve a small random model, and try so many requests of each operation; the exit status."""
    from support.chat_app import make_model
    from support.server_process import serve

    from obeaver.models.store import Store

    with tempfile.TemporaryDirectory() as home:
        make_model(Store(Path(home)), "small", context=1024, kv="int8")
        with serve("small", "--home", home) as server:
            line = ["st", "run", f"{server.url}/openapi.json", "--checks", "all", "--exclude-checks", LEFT_OUT]
            phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", num_examples]
            program = Path(sys.executable).with_name("st")
            hooks = {**os.environ, "PYTHONPATH": str(TESTS), "SCHEMATHESIS_HOOKS": "support.schemathesis_hooks"}
            done = subprocess.run([str(program), *line[1:], *phases], check=False, env=hooks)
            alive = server.process.poll() is None
    return done.returncode if alive else 1


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    sys.exit(main(*sys.argv[1:] or ["15"]))
