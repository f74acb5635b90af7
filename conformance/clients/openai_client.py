"""Makes the calls of cases with the official OpenAI SDK; works with openai 1, 2 and 3. See `program.py`."""

import asyncio
import sys
from typing import Any

import openai
from pydantic import BaseModel, create_model

from conformance.clients.program import MAX_ROUNDS, TIMEOUT_S, Options, Order, Turn, dump, each, run, settled

TYPES = {"string": str, "integer": int, "number": float, "boolean": bool}
CHAT, RESPONSE = "chat.completions.create", "responses.create"


class Calls:
    """The calls that an order may name; each returns turns."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def make(self, order: Order) -> list[Turn]:
        """Make one order; what the SDK raises is part of what it saw."""
        call, arguments = order["call"], order["arguments"]
        turn = {"endpoint": endpoint_of(call, arguments), "request": request_of(order)}
        try:
            if call == "tool loop":
                return await self._tool_loop(order)
            if call == "responses tool loop":
                return await self._responses_tool_loop(order)
            if call == "crowd":
                asked = dict(order, call=CHAT)
                answers = await asyncio.gather(*(self.make(asked) for _ in range(order["crowd"])))
                return [turn for turns in answers for turn in turns]
            return [turn | {"status": 200} | await self._seen(order)]
        except openai.APIStatusError as error:
            return [turn | {"status": error.status_code} | raised(error)]
        except openai.OpenAIError as error:
            return [turn | {"status": 0, "value": {"message": str(error)}, "raised": type(error).__name__}]

    async def _seen(self, order: Order) -> dict[str, Any]:
        call, arguments = order["call"], order["arguments"]
        match call:
            case "models.list":
                return {"value": dump(await settled(self._client.models.list()))}
            case "models.retrieve":
                return {"value": dump(await settled(self._client.models.retrieve(arguments["model"])))}
            case "responses.retrieve" | "responses.cancel":
                method = getattr(self._client.responses, call.rpartition(".")[2])
                return {"value": dump(await settled(method(arguments["response_id"])))}
            case "responses.delete":
                # The SDK gives nothing.
                return {"value": await settled(self._client.responses.delete(arguments["response_id"]))}
            case "responses.input_items.list":
                page = await settled(self._client.responses.input_items.list(**arguments))
                return {"value": {"object": "list", "data": [dump(item) for item in page.data]}}
            case "chat.completions.stream" | "responses.stream":
                return await self._streamed(call, arguments)
            case "chat.completions.parse" | "responses.parse":
                return await self._parsed(order)
        answer = await settled(self._resource(call).create(**arguments))
        if arguments.get("stream"):
            return {"chunks": [dump(chunk) async for chunk in each(answer)]}
        return {"value": dump(answer)}

    def _resource(self, call: str) -> Any:
        found = self._client
        for name in call.split(".")[:-1]:
            found = getattr(found, name)
        return found

    async def _streamed(self, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        manager = self._resource(call).stream(**arguments)
        is_async = hasattr(manager, "__aenter__")
        stream = await manager.__aenter__() if is_async else manager.__enter__()
        try:
            if call == "responses.stream":
                return await self._response_events(stream)
            chunks = [dump(event.chunk) async for event in each(stream) if event.type == "chunk"]
            return {"chunks": chunks, "final": dump(await settled(stream.get_final_completion()))}
        finally:
            await settled(manager.__aexit__(None, None, None) if is_async else manager.__exit__(None, None, None))

    async def _response_events(self, stream: Any) -> dict[str, Any]:
        chunks = [dump(event) async for event in each(stream)]
        # The SDK has a final response only of streams that completed.
        if chunks[-1]["type"] != "response.completed":
            return {"chunks": chunks}
        return {"chunks": chunks, "final": dump(await settled(stream.get_final_response()))}

    async def _parsed(self, order: Order) -> dict[str, Any]:
        resource, form = self._resource(order["call"]), model_of(order["fields"])
        if order["call"] == "responses.parse":
            answer = await settled(resource.parse(**order["arguments"], text_format=form))
            parsed = answer.output_parsed
        else:
            answer = await settled(resource.parse(**order["arguments"], response_format=form))
            parsed = answer.choices[0].message.parsed
        return {"value": dump(answer), "parsed": parsed.model_dump(mode="json") if parsed is not None else None}

    async def _tool_loop(self, order: Order) -> list[Turn]:
        arguments, turns = dict(order["arguments"]), []
        for _ in range(MAX_ROUNDS):
            turns += await self.make({"label": "", "call": CHAT, "arguments": arguments})
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

    async def _responses_tool_loop(self, order: Order) -> list[Turn]:
        arguments, turns = dict(order["arguments"]), []
        for _ in range(MAX_ROUNDS):
            turns += await self.make({"label": "", "call": RESPONSE, "arguments": arguments})
            output = turns[-1]["value"]["output"] if turns[-1]["status"] == 200 else []
            results = [
                {
                    "type": "function_call_output",
                    "call_id": item["call_id"],
                    "output": order["tool_results"][item["name"]],
                }
                for item in output
                if item["type"] == "function_call"
            ]
            if not results:
                break
            arguments |= {"input": [*arguments["input"], *output, *results], "tool_choice": "none"}
        return turns


def endpoint_of(call: str, arguments: dict[str, Any]) -> str:
    """The path below the base URL that a call goes to."""
    if call == "models.retrieve":
        return f"/models/{arguments['model']}"
    if call == "responses tool loop":
        return "/responses"
    if "response_id" in arguments:
        below = {"responses.cancel": "/cancel", "responses.input_items.list": "/input_items"}.get(call, "")
        return f"/responses/{arguments['response_id']}{below}"
    family = call.rpartition(".")[0]
    return "/" + family.replace(".", "/") if family else "/chat/completions"


def request_of(order: Order) -> dict[str, Any]:
    """The body that a call amounts to, for those who check the answer."""
    request = {name: value for name, value in order["arguments"].items() if name != "response_id"}
    if order["call"].endswith(".stream"):
        request["stream"] = True
    if order["call"] == "chat.completions.parse":
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema_of(order)}}
    if order["call"] == "responses.parse":
        request["text"] = {"format": {"type": "json_schema", "schema": schema_of(order)}}
    return request


def schema_of(order: Order) -> dict[str, Any]:
    """Of the answer that is parsed."""
    return model_of(order["fields"]).model_json_schema()


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


async def make(options: Options, order: Order) -> list[Turn]:
    """Make one order with a client of its own."""
    kind: Any = openai.AsyncOpenAI if options.is_async else openai.OpenAI
    client = kind(
        base_url=options.base_url, api_key=options.api_key, max_retries=options.max_retries, timeout=TIMEOUT_S
    )
    try:
        return await Calls(client).make(order)
    finally:
        await settled(client.close())


if __name__ == "__main__":
    asyncio.run(run(make, openai.__version__, ("OPENAI_BASE_URL", "OPENAI_API_KEY"), sys.argv[1:]))
