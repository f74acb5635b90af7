"""The composition root: from settings and a model's folder to an ASGI application. The only package that wires."""
