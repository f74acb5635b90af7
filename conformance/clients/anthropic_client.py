"""Makes the calls of cases with the official Anthropic SDK. See `program.py`."""

import asyncio
import sys
from typing import Any

import anthropic

from conformance.clients.program import MAX_ROUNDS, TIMEOUT_S, Options, Order, Turn, dump, each, run, settled

MESSAGE = "messages.create"


class Calls:
    """The calls that an order may name; each returns turns."""

    def __init__(self, client: Any) -> None:
        self._messages = client.messages

    async def make(self, order: Order) -> list[Turn]:
        """Make one order; what the SDK raises is part of what it saw."""
        call = order["call"]
        path = "/v1/messages/count_tokens" if call == "messages.count_tokens" else "/v1/messages"
        turn = {"endpoint": path, "request": request_of(order)}
        try:
            if call == "messages tool loop":
                return await self._tool_loop(order)
            if call == "crowd":
                asked = dict(order, call=MESSAGE)
                answers = await asyncio.gather(*(self.make(asked) for _ in range(order["crowd"])))
                return [turn for turns in answers for turn in turns]
            return [turn | {"status": 200} | await self._seen(call, given(order))]
        except anthropic.APIStatusError as error:
            return [turn | {"status": error.status_code} | raised(error)]
        except anthropic.AnthropicError as error:
            return [turn | {"status": 0, "value": {"message": str(error)}, "raised": type(error).__name__}]

    async def _seen(self, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if call == "messages.count_tokens":
            return {"value": dump(await settled(self._messages.count_tokens(**arguments)))}
        if call == "messages.stream":
            return await self._streamed(arguments)
        answer = await settled(self._messages.create(**arguments))
        if arguments.get("stream"):
            return {"chunks": [dump(event) async for event in each(answer)]}
        return {"value": dump(answer)}

    async def _streamed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        manager = self._messages.stream(**arguments)
        is_async = hasattr(manager, "__aenter__")
        stream = await manager.__aenter__() if is_async else manager.__enter__()
        try:
            # Events that the SDK adds, such as `text`, have no name in the protocol.
            names = ("message_", "content_block_")
            events = [dump(event) async for event in each(stream) if event.type.startswith(names)]
            final = dump(await settled(stream.get_final_message()))
        finally:
            await settled(manager.__aexit__(None, None, None) if is_async else manager.__exit__(None, None, None))
        return {"chunks": events, "final": final}

    async def _tool_loop(self, order: Order) -> list[Turn]:
        arguments, turns = dict(order["arguments"]), []
        for _ in range(MAX_ROUNDS):
            turns += await self.make({"label": "", "call": MESSAGE, "arguments": arguments})
            content = turns[-1]["value"]["content"] if turns[-1]["status"] == 200 else []
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": order["tool_results"][block["name"]]}
                for block in content
                if block["type"] == "tool_use"
            ]
            if not results:
                break
            answered = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
            # Once the results are there, the model is to answer in words.
            arguments |= {"messages": [*arguments["messages"], *answered], "tool_choice": {"type": "none"}}
        return turns


def given(order: Order) -> dict[str, Any]:
    """The arguments as the SDK takes them: what it knows no more, such as `temperature`, goes beside them."""
    unknown = {"temperature", "top_p", "top_k"}
    extra = {name: value for name, value in order["arguments"].items() if name in unknown}
    known = {name: value for name, value in order["arguments"].items() if name not in unknown}
    return known | ({"extra_body": extra} if extra else {})


def request_of(order: Order) -> dict[str, Any]:
    """The body that a call amounts to, for those who check the answer."""
    return dict(order["arguments"]) | ({"stream": True} if order["call"] == "messages.stream" else {})


def raised(error: anthropic.APIStatusError) -> dict[str, Any]:
    """What a program that catches the error can see."""
    return {"raised": type(error).__name__, "value": error.body, "headers": dict(error.response.headers)}


async def make(options: Options, order: Order) -> list[Turn]:
    """Make one order with a client of its own."""
    kind: Any = anthropic.AsyncAnthropic if options.is_async else anthropic.Anthropic
    client = kind(
        base_url=options.base_url, api_key=options.api_key, max_retries=options.max_retries, timeout=TIMEOUT_S
    )
    try:
        return await Calls(client).make(order)
    finally:
        await settled(client.close())


if __name__ == "__main__":
    asyncio.run(run(make, anthropic.__version__, ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"), sys.argv[1:]))
