"""What a client may rely on: the table of operations, JSON Schemas and their check, OpenAPI, the objects of answers."""
