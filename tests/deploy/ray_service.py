"""Runs `deploy/ray_serve.py` with two replicas until its standard input closes; each line there kills one replica.

    python ray_service.py PORT

Prints `ready` when it answers, and `killed` when a replica has been killed.
"""

import sys
from pathlib import Path

import ray
from ray import serve

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from deploy.ray_serve import build


def main() -> None:
    """Serve, and kill on demand."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(build({"replicas": 2, "cpus": 0.5}))
    print("ready", flush=True)
    for _line in sys.stdin:
        ray.kill(_a_replica(), no_restart=False)
        print("killed", flush=True)
    serve.shutdown()
    ray.shutdown()


def _a_replica() -> ray.actor.ActorHandle:
    actors = ray.util.list_named_actors(all_namespaces=True)
    (first, *_others) = sorted(actor["name"] for actor in actors if "SERVE_REPLICA" in actor["name"])
    return ray.get_actor(first, namespace="serve")


if __name__ == "__main__":
    main()
