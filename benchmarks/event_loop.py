"""What a server's event loop computes, apart from its engine's thread."""

import psutil

from benchmarks.contenders.servers import Server


def loop_s(server: Server) -> float:
    """Seconds that the server's first thread has computed: the event loop's."""
    thread = min(psutil.Process(server.pid).threads(), key=lambda thread: thread.id)
    return float(thread.user_time + thread.system_time)
