"""Serve a model and ask it something where there is nothing but the loopback: for a network namespace of its own."""

import fcntl
import json
import socket
import struct
import sys
import urllib.request

SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def raise_loopback() -> None:
    """The interface `lo` is down in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def main() -> None:
    """Print how many tokens the answer has."""
    from support.server_process import serve

    raise_loopback()
    with serve(*sys.argv[1:]) as server:
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "ignore_eos": True}
        request = urllib.request.Request(  # noqa: S310  # our own server
            server.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            print(json.load(answer)["usage"]["completion_tokens"])  # noqa: T201


if __name__ == "__main__":
    main()
