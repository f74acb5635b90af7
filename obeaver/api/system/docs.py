"""`/openapi.json` and `/docs`: the same description for machines and for people.

The page is rendered here, from the OpenAPI document: no scripts, nothing from elsewhere.
"""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from obeaver.api.contract.openapi import openapi_document
from obeaver.api.contract.operations import Operation
from obeaver.web.page_headers import document_headers
from obeaver.web.request import Request
from obeaver.web.response import HTMLResponse, JSONResponse

Object = dict[str, Any]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222; background: #fff }
h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f3f3f3; border-radius: 4px }
code { padding: .1em .3em } pre { padding: .8rem; overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 15px }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #ddd }
.method { color: #fff; background: #24557a; border-radius: 4px; padding: .1em .5em; font-size: .8em }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } code, pre { background: #2a2a2a }
  th, td, h2 { border-color: #444 } a { color: #8cf }
}
"""


HEADERS = document_headers(STYLE)


class DocsApi:
    """Handlers that describe a server."""

    def __init__(self, operations: Sequence[Operation], *, title: str, version: str) -> None:
        self._document = openapi_document(operations, title=title, version=version)

    async def openapi(self, _request: Request) -> JSONResponse:
        """`GET /openapi.json`."""
        return JSONResponse(self._document)

    async def page(self, request: Request) -> HTMLResponse:
        """`GET /docs`."""
        host = request.headers.get("host", "127.0.0.1:18000")
        page = docs_page(self._document, base_url=f"{request.scope.get('scheme', 'http')}://{host}")
        return HTMLResponse(page, headers=HEADERS)


def docs_page(document: Object, *, base_url: str) -> str:
    """An OpenAPI document as one HTML page."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = [(path, method, item) for path, items in document["paths"].items() for method, item in items.items()]
    contents = "".join(
        f'<li><a href="#{item["operationId"]}"><code>{method.upper()} {escape(path)}</code></a> '
        f"{_text(item['summary'])}</li>"
        for path, method, item in operations
    )
    sections = "".join(_section(path, method, item, base_url) for path, method, item in operations)
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<h1>{title}</h1><p>The same for machines: <a href="/openapi.json">/openapi.json</a></p>'
        f"<ul>{contents}</ul>{sections}<h2>Objects</h2>{schemas}</body></html>"
    )


def _section(path: str, method: str, item: Object, base_url: str) -> str:
    answers = "".join(
        f"<tr><td><code>{status}</code></td><td>{_text(answer['description'])}</td><td>{_content(answer['content'])}</td></tr>"
        for status, answer in item["responses"].items()
    )
    body = item.get("requestBody", {}).get("content", {}).get("application/json")
    takes = f"<p>Body: {_type(body['schema'])}</p>" if body else ""
    return (
        f'<h2 id="{item["operationId"]}"><span class="method">{method.upper()}</span> {escape(path)}</h2>'
        f"<p>{_text(item['summary'])}.</p>{takes}{_queries(item)}<pre>{escape(_curl(path, body, base_url))}</pre>"
        f"<table><tr><th>status</th><th></th><th>body</th></tr>{answers}</table>"
    )


def _queries(item: Object) -> str:
    queries = [parameter for parameter in item.get("parameters", []) if parameter["in"] == "query"]
    return "".join(f"<p><code>?{escape(query['name'])}=</code> {_text(query['description'])}</p>" for query in queries)


def _curl(path: str, body: Object | None, base_url: str) -> str:
    command = f"curl -s {base_url}{path.replace('{', '').replace('}', '')}"
    if body is None or "example" not in body:
        return command
    return f"{command} -H 'Content-Type: application/json' -d '{json.dumps(body['example'])}'"


def _content(content: Object) -> str:
    return "<br>".join(f"{_type(item['schema'])} <small>{escape(kind)}</small>" for kind, item in content.items())


def _schema(name: str, schema: Object) -> str:
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code>{' *' if key in required else ''}</td><td>{_type(item)}</td>"
        f"<td>{_default(item)}</td><td>{_text(item.get('description', ''))}</td></tr>"
        for key, item in schema.get("properties", {}).items()
    )
    return (
        f'<h3 id="schema-{escape(name)}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
        f"<table><tr><th>field (* required)</th><th>type</th><th>default</th><th></th></tr>{rows}</table>"
    )


def _type(schema: Object) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    types = schema.get("type", "any")
    names = " or ".join(types if isinstance(types, list) else [types])
    items = f" of {_type(schema['items'])}" if "items" in schema else ""
    return escape(names) + items + escape(_range(schema)) + _fields(schema)


def _range(schema: Object) -> str:
    words = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
    return "".join(f", {sign} {schema[key]}" for key, sign in words if key in schema)


def _fields(schema: Object) -> str:
    fields = [f"<code>{escape(key)}</code>: {_type(item)}" for key, item in schema.get("properties", {}).items()]
    return f" {{ {', '.join(fields)} }}" if fields else ""


def _default(schema: Object) -> str:
    return f"<code>{escape(json.dumps(schema['default']))}</code>" if "default" in schema else ""


def _text(text: str) -> str:
    """Escaped text, with `code` in backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
