"""obeaver in a process that tells of the connections, names and secret files that it asks for: `AUDIT EVENT DETAIL`."""

import sys
from typing import Any

WATCHED = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "subprocess.Popen"}
)


def tell(event: str, arguments: tuple[Any, ...]) -> None:
    """A hook as `sys.addaudithook` takes it."""
    if event in WATCHED or (event == "open" and "secret" in str(arguments[0])):
        print("AUDIT", event, repr(arguments), file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.addaudithook(tell)
    from obeaver.cli import main

    sys.exit(main(sys.argv[1:]))
