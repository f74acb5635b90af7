"""Group `restart`: a conversation that goes on after the server was stopped and started again.

The first server keeps its prefix cache on the disk, answers a first turn that it has not seen before, and is stopped; a
second one on the same folder answers the second turn. The first token of the second turn is compared with that of the
first. Both servers have answered something else before, so that their buffers have grown.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from benchmarks.bench import Bench
from benchmarks.conductor import Question
from benchmarks.contenders.servers import Server, obeaver
from benchmarks.load.chat_stream import StreamTrace, stream_chat
from benchmarks.load.prompts import Messages, fresh_messages, next_turn
from benchmarks.results.document import Metric

_HISTORY_WORDS = 1440


def questions(bench: Bench) -> Iterator[Question]:
    """The question of the group, for ourselves."""
    title = "first token of turn 2 after a restart, 1,500 tokens of history on the disk, against cold"
    metric = Metric("restart.ratio", title, "×", higher_is_better=False)
    name = f"{bench.ours}, prefix cache on the disk"
    measures = {name: lambda: {metric.id: _second_turn(bench)}}
    yield Question("restart", "restart", [metric], measures, name, warm_up=False)


def _second_turn(bench: Bench) -> float:
    history = fresh_messages(_HISTORY_WORDS)
    with tempfile.TemporaryDirectory() as folder:
        with _server(bench, folder) as server:
            cold = _answer(bench, server, history, 24)
        with _server(bench, folder) as server:
            second = _answer(bench, server, next_turn(history, cold.text, "And what comes next?"), 2)
    return second.first_token_s / cold.first_token_s


def _server(bench: Bench, folder: str) -> AbstractContextManager[Server]:
    settings: Mapping[str, object] = bench.fleet.contenders[bench.ours].facts["settings"]
    flags = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return obeaver(str(bench.folder), *flags, "--prefix-cache-dir", folder, timeout_s=bench.limit.left_s)


def _answer(bench: Bench, server: Server, messages: Messages, num_tokens: int) -> StreamTrace:
    bench.limit.run(stream_chat(server.url, fresh_messages(300), model=server.model, max_tokens=6))
    return bench.limit.run(stream_chat(server.url, messages, model=server.model, max_tokens=num_tokens))
