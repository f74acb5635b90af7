"""Makes the calls of cases with the official Python SDK and reports what it saw; works with openai 1, 2 and 3.

    python python_client.py [--async] [--labelled] < orders.jsonl > turns.jsonl

Each line in is an order: `label`, `call`, `arguments`, and further fields as `cases.schema.json` has them; each line
out holds the `label` and the `turns`. `OPENAI_BASE_URL` and `OPENAI_API_KEY` are read by the SDK itself. With
`--labelled`, each order goes to `/@LABEL` below the host of the base URL, where a recording proxy takes note of it.
A program of its own, so that it can run under another interpreter with another version of the SDK.
"""

import asyncio
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, create_model

TYPES = {"string": str, "integer": int, "number": float, "boolean": bool}
MAX_ROUNDS = 3


async def settled(value: Any) -> Any:
    """What a call of either client gives, the synchronous or the asynchronous one."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    """The items of either kind of stream."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


def dump(value: BaseModel) -> Any:
    """What the server sent, as the SDK has read it."""
    return value.model_dump(mode="json", exclude_unset=True, warnings=False)


class Calls:
    """The calls that an order may name; each returns turns."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def make(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        """Make one order; what the SDK raises is part of what it saw."""
        call, arguments = order["call"], order["arguments"]
        endpoint, request = endpoint_of(call, arguments), request_of(order)
        turn = {"endpoint": endpoint, "request": request}
        try:
            if call == "tool loop":
                return await self._tool_loop(order)
            if call == "crowd":
                asked = dict(order, call="chat.completions.create")
                answers = await asyncio.gather(*(self.make(asked) for _ in range(order["crowd"])))
                return [turn for turns in answers for turn in turns]
            return [turn | {"status": 200} | await self._seen(order)]
        except openai.APIStatusError as error:
            return [turn | {"status": error.status_code} | raised(error)]
        except openai.OpenAIError as error:
            return [turn | {"status": 0, "value": {"message": str(error)}, "raised": type(error).__name__}]

    async def _seen(self, order: dict[str, Any]) -> dict[str, Any]:
        call, arguments = order["call"], order["arguments"]
        if call == "models.list":
            return {"value": dump(await settled(self._client.models.list()))}
        if call == "models.retrieve":
            return {"value": dump(await settled(self._client.models.retrieve(arguments["model"])))}
        if call == "chat.completions.stream":
            return await self._streamed(arguments)
        if call == "chat.completions.parse":
            return await self._parsed(order)
        resource, _, method = call.rpartition(".")
        target = self._client
        for name in resource.split("."):
            target = getattr(target, name)
        answer = await settled(getattr(target, method)(**arguments))
        if arguments.get("stream"):
            return {"chunks": [dump(chunk) async for chunk in each(answer)]}
        return {"value": dump(answer)}

    async def _streamed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        manager = self._client.chat.completions.stream(**arguments)
        is_async = hasattr(manager, "__aenter__")
        stream = await manager.__aenter__() if is_async else manager.__enter__()
        try:
            chunks = [dump(event.chunk) async for event in each(stream) if event.type == "chunk"]
            final = await settled(stream.get_final_completion())
        finally:
            await settled(manager.__aexit__(None, None, None) if is_async else manager.__exit__(None, None, None))
        return {"chunks": chunks, "final": dump(final)}

    async def _parsed(self, order: dict[str, Any]) -> dict[str, Any]:
        answer = await settled(
            self._client.chat.completions.parse(**order["arguments"], response_format=model_of(order["fields"]))
        )
        parsed = answer.choices[0].message.parsed
        return {"value": dump(answer), "parsed": parsed.model_dump(mode="json") if parsed is not None else None}

    async def _tool_loop(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        arguments, turns = dict(order["arguments"]), []
        for _ in range(MAX_ROUNDS):
            turns += await self.make({"label": "", "call": "chat.completions.create", "arguments": arguments})
            message = turns[-1]["value"]["choices"][0]["message"] if turns[-1]["status"] == 200 else {}
            if not message.get("tool_calls"):
                break
            results = [
                {"role": "tool", "tool_call_id": call["id"], "content": order["tool_results"][call["function"]["name"]]}
                for call in message["tool_calls"]
            ]
            # Once the results are there, the model is to answer in words.
            arguments |= {"messages": [*arguments["messages"], message, *results], "tool_choice": "none"}
        return turns


def endpoint_of(call: str, arguments: dict[str, Any]) -> str:
    """The path below the base URL that a call goes to."""
    if call == "models.retrieve":
        return f"/models/{arguments['model']}"
    family = call.rpartition(".")[0]
    return "/" + family.replace(".", "/") if family else "/chat/completions"


def request_of(order: dict[str, Any]) -> dict[str, Any]:
    """The body that a call amounts to, for those who check the answer."""
    request = dict(order["arguments"])
    if order["call"] == "chat.completions.stream":
        request["stream"] = True
    if order["call"] == "chat.completions.parse":
        schema = model_of(order["fields"]).model_json_schema()
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return request


def model_of(fields: dict[str, str]) -> type[BaseModel]:
    """A Pydantic model with required fields of these types."""
    definitions: dict[str, Any] = {name: (TYPES[kind], ...) for name, kind in fields.items()}
    return create_model("Answer", **definitions)


def raised(error: openai.APIStatusError) -> dict[str, Any]:
    """What a program that catches the error can see."""
    try:
        value = error.response.json()
    except ValueError:
        value = error.response.text
    return {"raised": type(error).__name__, "value": value, "headers": dict(error.response.headers)}


def client_for(order: dict[str, Any], *, is_async: bool, is_labelled: bool) -> Any:
    """A client of the SDK as an order wants it."""
    options: dict[str, Any] = {"max_retries": order.get("max_retries", 0), "timeout": 300}
    base_url = order.get("base_url") or os.environ["OPENAI_BASE_URL"]
    if is_labelled:
        url = urlsplit(base_url)
        base_url = f"{url.scheme}://{url.netloc}/@{order['label']}{url.path}"
    options |= {"base_url": base_url, "api_key": order.get("api_key") or os.environ.get("OPENAI_API_KEY", "unused")}
    return openai.AsyncOpenAI(**options) if is_async else openai.OpenAI(**options)


async def main(words: list[str]) -> None:
    """Read orders, write turns."""
    is_async, is_labelled = "--async" in words, "--labelled" in words
    for line in sys.stdin:
        order = json.loads(line)
        client = client_for(order, is_async=is_async, is_labelled=is_labelled)
        try:
            turns = await Calls(client).make(order)
        finally:
            await settled(client.close())
        print(json.dumps({"label": order["label"], "client": openai.__version__, "turns": turns}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
