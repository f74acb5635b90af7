"""HTTP and ASGI: routing, bodies, responses, server-sent events. Knows nothing of models."""
