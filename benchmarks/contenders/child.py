"""An object in a process of its own: what it loads shares no memory, threads or libraries with what is beside it."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.conductor import ContenderFailed


class Child:
    """The near end. Made by `child`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object.

        Raises:
            ContenderFailed: It raised, or the process ended.
        """
        try:
            self._pipe.send((method, arguments))
            failed, value = self._pipe.recv()
        except (EOFError, OSError):
            raise ContenderFailed("its process has ended") from None
        if failed:
            raise ContenderFailed(value)
        return value


@contextlib.contextmanager
def child(make: Callable[..., object], *arguments: Any) -> Iterator[Child]:
    """Make an object in a new process, which ends with the block.

    Args:
        make: A class or function that can be imported.
        arguments: For it.

    Raises:
        ContenderFailed: It raised.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
    process.start()
    theirs.close()
    near = Child(ours)
    try:
        near.call("")
        yield near
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Connection, make: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """The child's loop: (method, arguments) in; (failed, value or reason) out."""
    served: object = None
    while True:
        try:
            method, given = pipe.recv()
        except EOFError:
            return
        try:
            if not method:
                served = make(*arguments)
                pipe.send((False, None))
            else:
                pipe.send((False, getattr(served, method)(*given)))
        except Exception as error:  # noqa: BLE001 - told to the parent, which shows it
            pipe.send((True, f"{type(error).__name__}: {error}"))
