"""obeaver as a Ray Serve application: replicas, autoscaling by queue, a conversation stays on its replica.

The ASGI application is the one that `obeaver serve` runs; Ray's proxy stands where uvicorn stands there. Requests that
carry the same `x-session-id` header go to the same replica, by Ray Serve's own consistent hashing: the second turn of
a conversation finds what the first has left in the prefix cache. Requests without the header are spread evenly.

    pip install 'obeaver[ray]'
    serve run deploy.ray_serve:build model=smollm2-135m replicas=2

`OBEAVER_…` variables count as they do for `obeaver serve`. Ray's proxy knows no API keys, but each replica does:
`OBEAVER_API_KEY` is checked by obeaver itself.
"""

import os
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

from obeaver.app.chat import chat_application
from obeaver.config import DEFAULT_MODEL, load_settings
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store
from obeaver.web.types import ASGIApp, Message

HEALTH_PERIOD_S = 5
"""A replica whose engine has failed is replaced after three of these."""


@serve.deployment(
    name="obeaver",
    health_check_period_s=HEALTH_PERIOD_S,
    graceful_shutdown_timeout_s=35,
    request_router_config=RequestRouterConfig(request_router_class=ConsistentHashRouter),
)
@serve.ingress()
class Chat:
    """One replica: an engine of its own, with the models that are named.

    Args:
        models: As `obeaver serve` takes them; they are fetched by the first replica that needs them.
    """

    def __init__(self, *models: str) -> None:
        self._settings = load_settings({}, os.environ)
        store = Store(self._settings.home)
        progress = SilentProgress()
        found = [ensure_model(name, store, progress=progress, offline=self._settings.offline) for name in models]
        self._application = chat_application(self._settings, *found)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._application

    async def check_health(self) -> None:
        """Ray asks this now and then, and replaces a replica that raises.

        Raises:
            RuntimeError: The engine has failed.
        """
        status = await _status_of(self._application, "/health/live", self._settings.host)
        if status >= 500:
            raise RuntimeError(f"/health/live answers {status}")


async def _status_of(app: ASGIApp, path: str, host: str) -> int:
    """Status of a GET, asked without a socket."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "client": None,
        "server": None,
    }
    await app(scope, receive, send)
    return statuses[0]


def build(args: dict[str, Any]) -> Application:
    """The application, for `serve run` and for configuration files.

    Args:
        args: `model` (several are separated by commas), `replicas` (a fixed number) or `min_replicas` and
            `max_replicas`, `queue` (requests for a replica that autoscaling aims at), `cpus` of each replica.
    """
    models = str(args.get("model", DEFAULT_MODEL)).split(",")
    cpus = float(args.get("cpus", 1))
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": cpus}}
    if "max_replicas" in args:
        options["autoscaling_config"] = AutoscalingConfig(
            min_replicas=int(args.get("min_replicas", 1)),
            max_replicas=int(args["max_replicas"]),
            target_ongoing_requests=float(args.get("queue", 8)),
        )
    else:
        options["num_replicas"] = int(args.get("replicas", 1))
    # Without Ray's types, mypy takes the deployment for the class that was decorated.
    deployment: Any = Chat
    bound: Application = deployment.options(max_ongoing_requests=int(args.get("max_ongoing", 256)), **options).bind(
        *models
    )
    return bound
