# a body a line
"""Bodies that careless and hostile clients send: more than sixty, from a few MB down to a few bytes that ask for much.

Each is made when it is needed, in the size that is wanted: `scale` 1 is what the limit of a body allows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

CHAT: Final = "/v1/chat/completions"
FULL: Final = 9_000_000
"""Bytes just below the default limit of a body."""

_WORDS: Final = "lorem ipsum dolor "


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request.

    Attributes:
        name: What it does, for people.
        path: Where it goes.
        make: Makes its body, given the size of what is long in it.
        size: Bytes of that at scale 1.
        is_taken: It keeps to all limits, if only just, so that the work is done and not refused.
    """

    name: str
    path: str
    make: Callable[[int], bytes]
    size: int = FULL
    is_taken: bool = False

    def body(self, scale: float) -> bytes:
        """The body, so many times as long as the limits allow."""
        return self.make(max(1, int(self.size * scale)))


def hostile_chats() -> tuple[Hostile, ...]:
    """Those for a chat server."""
    return (
        *_texts(),
        *_structures(),
        *_schemas(),
        *_generations(),
        *_messages(),
        *_ollama(),
        *_responses(),
        *_completions(),
        *_tokens(),
    )


def hostile_embeddings() -> tuple[Hostile, ...]:
    """Those for an embedding model's server."""
    path, ollama = "/v1/embeddings", "/api/embed"
    words = "lorem ipsum "
    return (
        Hostile("embed words", path, lambda n: _json(input=words * (n // 12))),
        Hostile("embed words, cut", path, lambda n: _json(input=words * (n // 12), truncate=True)),
        Hostile("embed one word", path, lambda n: _json(input="a" * n)),
        Hostile("embed one word, cut", path, lambda n: _json(input="a" * n, truncate=True)),
        Hostile("embed spaces", path, lambda n: _json(input=" " * n)),
        Hostile("embed brackets in a text", path, lambda n: _json(input="[" * n)),
        Hostile("embed dropped characters", path, lambda n: _json(input="\ufffd" * (n // 3))),
        Hostile("embed 2,048 texts", path, lambda n: _json(input=["word " * (n // 10240)] * 2048)),
        Hostile("embed 2,048 texts, cut", path, lambda n: _json(input=["word " * (n // 10240)] * 2048, truncate=True)),
        Hostile("embed 20 long words", path, lambda n: _json(input=["a" * (n // 20)] * 20)),
        Hostile("embed 2,048 letters", path, lambda n: _json(input=["a"] * max(1, n)), 2048),
        Hostile("embed too many texts", path, lambda n: _json(input=["a"] * (n // 30))),
        Hostile("embed empty texts", path, lambda n: _json(input=[""] * (n // 30))),
        Hostile("embed ids", path, lambda n: _json(input=[101] * (n // 30))),
        Hostile("embed ids, cut", path, lambda n: _json(input=[101] * (n // 30), truncate=True)),
        Hostile("embed huge ids", path, lambda n: _json(input=[10**15] * (n // 30))),
        Hostile("embed an id of many digits", path, lambda n: b'{"input": [' + b"9" * n + b"]}"),
        Hostile("embed what is no id", path, lambda n: _json(input=[*[101] * (n // 30), None])),
        Hostile("embed lists of ids", path, lambda n: _json(input=[[101, 102]] * (n // 60))),
        Hostile("embed empty lists", path, lambda n: _json(input=[[]] * (n // 30))),
        Hostile("embed brackets", path, lambda n: b'{"input": ' + b"[" * (n // 2) + b"]" * (n // 2) + b"}"),
        Hostile(
            "embed with nested brackets",
            path,
            lambda n: b'{"input": "a", "x": ' + b"[" * (n // 2) + b"]" * (n // 2) + b"}",
        ),
        Hostile("embed with empty lists", path, lambda n: b'{"input": "a", "x": [' + b"[]," * (n // 3) + b"[]]}"),
        Hostile("embed in a format that is none", path, lambda n: _json(input="a", encoding_format="b" * n)),
        Hostile("embed in too many dimensions", path, lambda n: _json(input="a", dimensions=10 ** min(n, 300))),
        Hostile("embed for a model of a long name", path, lambda n: _json(input="a", model="m" * n)),
        Hostile("embed with a prompt of a long name", path, lambda n: _json(input="a", prompt_name="p" * n)),
        Hostile("embed in Ollama's words", ollama, lambda n: _json(model="m", input="lorem " * (n // 6))),
        Hostile("embed a word in Ollama's words", ollama, lambda n: _json(model="m", input="a" * n)),
    )


def hostile_reranks() -> tuple[Hostile, ...]:
    """Those for a reranker's server."""
    path = "/v1/rerank"
    return (
        Hostile("rerank documents", path, lambda n: _json(query="q", documents=["word " * 100] * (n // 500))),
        Hostile("rerank 2,048 documents", path, lambda n: _json(query="q", documents=["word " * (n // 10240)] * 2048)),
        Hostile(
            "rerank 2,048 documents, cut",
            path,
            lambda n: _json(query="q", documents=["word " * (n // 10240)] * 2048, truncate=True),
        ),
        Hostile("rerank a long document", path, lambda n: _json(query="q", documents=["a" * n])),
        Hostile("rerank a long query", path, lambda n: _json(query="word " * (n // 5), documents=["a"])),
        Hostile("rerank by a long word", path, lambda n: _json(query="a" * n, documents=["a"])),
        Hostile("rerank much by a long word", path, lambda n: _json(query="a" * (n // 2), documents=["a"] * 2048)),
        Hostile("rerank objects", path, lambda n: _json(query="q", documents=[{"text": "a", "b": 1}] * (n // 60))),
        Hostile("rerank the best", path, lambda n: _json(query="q", documents=["a"], top_n=10 ** min(n, 300))),
    )


def _texts() -> Iterator[Hostile]:
    yield Hostile("a message of 1 MB", CHAT, lambda n: chat("the quick brown fox " * (n // 20)), 1_000_000)
    yield Hostile("a message that nearly fits", CHAT, lambda n: chat("the quick brown fox " * (n // 20)), 400_000)
    for name, text in (
        ("words", "lorem ipsum dolor "),
        ("ends", "<|im_end|>"),
        ("beginnings of ends", "<|"),
        ("a", "a"),
        ("spaces", " "),
        ("line ends", "\n"),
        ("digits", "1234567890"),
        ("beavers", "🦫"),
        ("accents", "e\u0301"),
        ("dropped characters", "\x04"),
        ("ideographs", "海狸"),
        ("private characters", "".join(map(chr, range(0xE000, 0xE400)))),
        ("replacement characters", "\ufffd"),
        ("think marks", "<think></think>"),
    ):
        yield Hostile(f"a message of {name}", CHAT, partial(_repeated, text))
    yield Hostile(
        "escapes", CHAT, lambda n: b'{"messages": [{"role": "user", "content": "' + b"\\u0041" * (n // 6) + b'"}]}'
    )
    yield Hostile(
        "half surrogates",
        CHAT,
        lambda n: b'{"messages": [{"role": "user", "content": "' + b"\\ud83e" * (n // 6) + b'"}]}',
    )
    yield Hostile("many messages", CHAT, lambda n: _json(messages=[_user("a")] * (n // 40)))
    yield Hostile("many messages, the last one wrong", CHAT, lambda n: _json(messages=[*[_user("a")] * (n // 40), {}]))
    yield Hostile("many parts", CHAT, lambda n: chat([{"type": "text", "text": "a"}] * (n // 32)))
    yield Hostile(
        "many parts, the last one wrong", CHAT, lambda n: chat([*[{"type": "text", "text": "a"}] * (n // 32), 1])
    )
    yield Hostile(
        "long reasoning",
        CHAT,
        lambda n: _json(
            messages=[{"role": "assistant", "content": "", "reasoning_content": "a b " * (n // 4)}, _user("a")]
        ),
    )
    yield Hostile("a long role", CHAT, lambda n: _json(messages=[{"role": "a" * n, "content": ""}]))
    yield Hostile("a long model", CHAT, lambda n: chat("a", model="m" * n))
    yield Hostile("arguments of calls", CHAT, lambda n: _call('{"a": "' + "b" * n + '"}'))
    yield Hostile("arguments of brackets", CHAT, lambda n: _call('{"a": [' + "[]," * (n // 3) + "[]]}"))
    yield Hostile("arguments that are nested", CHAT, lambda n: _call('{"a": ' + "[" * (n // 2) + "]" * (n // 2) + "}"))


def _structures() -> Iterator[Hostile]:
    yield Hostile("nested brackets", CHAT, lambda n: _with(b'"x": ' + b"[" * (n // 2) + b"]" * (n // 2)))
    yield Hostile("open brackets", CHAT, lambda n: _with(b'"x": ' + b"[" * n))
    yield Hostile("nested objects", CHAT, lambda n: _with(b'"x": ' + b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6)))
    yield Hostile("empty lists", CHAT, lambda n: _with(b'"x": [' + b"[]," * (n // 3) + b"[]]"))
    yield Hostile(
        "as many empty lists as there may be",
        CHAT,
        lambda n: _with(b'"x": [' + b"[]," * (n // 3) + b"[]]"),
        220_000,
        is_taken=True,
    )
    yield Hostile(
        "as many objects as there may be",
        CHAT,
        lambda n: _with(b'"x": [' + b'{"a":"b"},' * (n // 10) + b"{}]"),
        700_000,
        is_taken=True,
    )
    yield Hostile(
        "as many texts as there may be",
        CHAT,
        lambda n: _with(b'"x": [' + b'"abcdefghi",' * (n // 12) + b'""]'),
        1_700_000,
        is_taken=True,
    )
    yield Hostile(
        "as many numbers as there may be",
        CHAT,
        lambda n: _with(b'"x": [' + b"12345," * (n // 6) + b"1]"),
        870_000,
        is_taken=True,
    )
    yield Hostile(
        "many names",
        CHAT,
        lambda n: json.dumps(
            {f"name{i}": 1 for i in range(n // 16)} | {"messages": [_user("a")], "max_tokens": 1}
        ).encode(),
        3_000_000,
    )
    yield Hostile("a long number", CHAT, lambda n: _with(b'"x": ' + b"1" * n))
    yield Hostile("backslashes", CHAT, lambda n: _with(b'"x": "' + b"\\\\" * (n // 2) + b'"'))
    yield Hostile("quotes", CHAT, lambda n: b'"' * n)
    yield Hostile("white space", CHAT, lambda n: b" " * n)
    yield Hostile("zeros", CHAT, lambda n: b"\0" * n)
    yield Hostile("no text", CHAT, lambda n: b"\xff" * n)
    yield Hostile(
        "template variables",
        CHAT,
        lambda n: chat("a", chat_template_kwargs={f"k{i}": "<|im_end|>" for i in range(n // 24)}),
        2_000_000,
    )
    yield Hostile(
        "biases", CHAT, lambda n: chat("a", max_tokens=1, logit_bias={str(i): 1 for i in range(n // 12)}), 580_000
    )
    yield Hostile(
        "biases beyond the vocabulary",
        CHAT,
        lambda n: chat("a", logit_bias={str(i): 1 for i in range(n // 12)}),
        4_000_000,
    )
    yield Hostile("a long user", CHAT, lambda n: chat("a", user="u" * n, metadata={"a": "b" * 10}))


def _schemas() -> Iterator[Hostile]:
    yield Hostile(
        "16 long stop strings", CHAT, lambda n: chat("a", stop=[chr(97 + i) * (n // 16) for i in range(16)]), 8_000_000
    )
    yield Hostile(
        "as much to stop at as there may be, often",
        CHAT,
        lambda n: chat("a", n=128, max_tokens=1, stop=["ab" * 120 + chr(97 + i) for i in range(16)]),
        is_taken=True,
    )
    yield Hostile(
        "128 tools with long descriptions",
        CHAT,
        lambda n: chat("a", tools=[_tool(i, "words " * (n // 768), 1) for i in range(128)]),
    )
    yield Hostile(
        "128 tools of 400 properties",
        CHAT,
        lambda n: chat("a", tools=[_tool(i, "", n // 128) for i in range(128)]),
        51_200,
    )
    yield Hostile(
        "as many properties as there may be", CHAT, lambda n: chat("a", max_tokens=1, tools=[_tool(0, "", n)]), 4_000
    )
    yield Hostile("a schema of many properties", CHAT, lambda n: _form(_object(n)), 100_000)
    yield Hostile("a schema that is nested", CHAT, lambda n: _form(_nested(n)), 90)
    yield Hostile("a schema of many choices", CHAT, lambda n: _form({"enum": [f"value {i}" for i in range(n)]}), 15_000)
    yield Hostile(
        "a schema of alternatives", CHAT, lambda n: _form({"anyOf": [_object(3, f"p{i}_") for i in range(n)]}), 1_500
    )
    yield Hostile(
        "a schema of alternatives, later",
        CHAT,
        lambda n: _form(
            {
                "type": "object",
                "properties": {"a": {"const": "a" * 60}, "b": {"anyOf": [_object(3, f"p{i}_") for i in range(n)]}},
                "required": ["a", "b"],
            }
        ),
        1_500,
    )
    yield Hostile("a grammar of many rules", CHAT, lambda n: chat("a", max_tokens=9, grammar=_rules(n)), 2_700)
    yield Hostile(
        "a grammar of many rules, later", CHAT, lambda n: chat("a", max_tokens=99, grammar=_rules(n, "a" * 99)), 2_700
    )
    yield Hostile(
        "a schema that repeats",
        CHAT,
        lambda n: _form({"type": "array", "minItems": n, "maxItems": n, "items": {"type": "integer"}}),
        100_000,
    )
    yield Hostile(
        "a schema with a pattern", CHAT, lambda n: _form({"type": "string", "pattern": f"^(a?){{{n}}}a{{{n}}}$"}), 1_000
    )
    yield Hostile(
        "a schema that nothing satisfies, large",
        CHAT,
        lambda n: _form({**_object(n), "required": ["no"], "additionalProperties": False}),
        1_500,
    )
    yield Hostile("a long pattern", CHAT, lambda n: chat("a", max_tokens=1, regex="(a|b)" * (n // 5)), 400_000)
    yield Hostile(
        "a pattern that counts",
        CHAT,
        lambda n: chat("a", max_tokens=1, regex=f"((a{{1,{n}}}){{1,{n}}}){{1,{n}}}"),
        1_000,
    )
    yield Hostile(
        "a long grammar",
        CHAT,
        lambda n: chat("a", max_tokens=1, grammar="start: x\nx: " + " | ".join(f'"{i}"' for i in range(n // 8))),
        400_000,
    )
    yield Hostile(
        "many choices", CHAT, lambda n: chat("a", max_tokens=1, choice=[f"choice {i}" for i in range(n)]), 15_000
    )


def _generations() -> Iterator[Hostile]:
    yield Hostile(
        "eight answers with 20 log-probabilities",
        CHAT,
        lambda n: chat("a", n=8, max_tokens=n, logprobs=True, top_logprobs=20, ignore_eos=True),
        1000,
    )
    yield Hostile("128 answers", CHAT, lambda n: chat("a", n=128, max_tokens=max(1, n), ignore_eos=True), 10)
    yield Hostile(
        "too many log-probabilities", CHAT, lambda n: chat("a", n=128, max_tokens=8000, logprobs=True, top_logprobs=20)
    )
    yield Hostile(
        "echo with log-probabilities",
        "/v1/completions",
        lambda n: _json(model="", prompt="a b c d " * (n // 8), echo=True, logprobs=5, max_tokens=1),
        16_000,
    )
    yield Hostile(
        "streamed echo with log-probabilities",
        "/v1/completions",
        lambda n: _json(model="", prompt="a b c d " * (n // 8), echo=True, logprobs=5, max_tokens=1, stream=True),
        16_000,
    )


def _messages() -> Iterator[Hostile]:
    yield Hostile(
        "words to Messages",
        "/v1/messages",
        lambda n: _json(model="", max_tokens=1, messages=[_user(_WORDS * (n // 18))]),
    )
    yield Hostile(
        "a long system to Messages",
        "/v1/messages",
        lambda n: _json(model="", max_tokens=1, system="<|im_end|>" * (n // 10), messages=[_user("a")]),
    )
    yield Hostile(
        "stops to Messages",
        "/v1/messages",
        lambda n: _json(model="", max_tokens=1, stop_sequences=["b" * (n // 4)] * 4, messages=[_user("a")]),
    )
    yield Hostile(
        "tools to Messages",
        "/v1/messages",
        lambda n: _json(
            model="",
            max_tokens=1,
            messages=[_user("a")],
            tools=[{"name": f"f{i}", "input_schema": _object(n // 100)} for i in range(100)],
        ),
        40_000,
    )
    yield Hostile(
        "inputs of tools to Messages",
        "/v1/messages",
        lambda n: _json(
            model="",
            max_tokens=1,
            messages=[
                _user("a"),
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": [[]] * (n // 4)}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "b"}]},
            ],
        ),
        1_200_000,
    )
    yield Hostile(
        "words to count", "/v1/messages/count_tokens", lambda n: _json(model="", messages=[_user(_WORDS * (n // 18))])
    )


def _ollama() -> Iterator[Hostile]:
    yield Hostile(
        "words to Ollama's chat", "/api/chat", lambda n: _json(model="m", messages=[_user(_WORDS * (n // 18))])
    )
    yield Hostile(
        "stops to Ollama's chat",
        "/api/chat",
        lambda n: _json(model="m", messages=[_user("a")], options={"stop": ["c" * n], "num_predict": 1}),
    )
    yield Hostile("words to Ollama's generate", "/api/generate", lambda n: _json(model="m", prompt=_WORDS * (n // 18)))
    yield Hostile(
        "raw spaces to Ollama's generate", "/api/generate", lambda n: _json(model="m", prompt=" " * n, raw=True)
    )


def _responses() -> Iterator[Hostile]:
    yield Hostile("words to Responses", "/v1/responses", lambda n: _json(model="", input=_WORDS * (n // 18)))
    yield Hostile("items to Responses", "/v1/responses", lambda n: _json(model="", input=[_user("a")] * (n // 40)))
    yield Hostile(
        "instructions to Responses", "/v1/responses", lambda n: _json(model="", instructions="a" * n, input="b")
    )
    yield Hostile(
        "words to count for Responses", "/v1/responses/input_tokens", lambda n: _json(input=_WORDS * (n // 18))
    )


def _completions() -> Iterator[Hostile]:
    yield Hostile("words to completions", "/v1/completions", lambda n: _json(model="", prompt=_WORDS * (n // 18)))
    yield Hostile("ids to completions", "/v1/completions", lambda n: _json(model="", prompt=[1] * (n // 30)))
    yield Hostile("many prompts to completions", "/v1/completions", lambda n: _json(model="", prompt=["a"] * (n // 30)))


def _tokens() -> Iterator[Hostile]:
    yield Hostile("words to tokenize", "/v1/tokenize", lambda n: _json(model="", prompt=_WORDS * (n // 18)))
    yield Hostile("a to tokenize", "/v1/tokenize", lambda n: _json(model="", prompt="a" * n))
    yield Hostile(
        "as much to tokenize as there may be",
        "/v1/tokenize",
        lambda n: _json(model="", prompt=_WORDS * (n // 18), return_token_strs=True),
        300_000,
    )
    yield Hostile("ids to detokenize", "/v1/detokenize", lambda n: _json(model="", tokens=[1] * (n // 30)))


def _repeated(text: str, size: int) -> bytes:
    return chat(text * (size // len(json.dumps(text))))


def chat(content: Any, **parameters: Any) -> bytes:
    """A chat request of one message."""
    return _json(messages=[_user(content)], **{"max_tokens": 1, **parameters})


def _json(**members: Any) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _with(members: bytes) -> bytes:
    return b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 1, ' + members + b"}"


def _call(arguments: str) -> bytes:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    return _json(messages=[_user("a"), answer, {"role": "tool", "tool_call_id": "c", "content": "b"}], max_tokens=1)


def _tool(index: int, description: str, num_properties: int) -> dict[str, Any]:
    function = {"name": f"f{index}", "description": description, "parameters": _object(num_properties)}
    return {"type": "function", "function": function}


def _object(num_properties: int, name: str = "property_") -> dict[str, Any]:
    return {"type": "object", "properties": {f"{name}{i}": {"type": "string"} for i in range(num_properties)}}


def _rules(count: int, first: str = "") -> str:
    """A Lark grammar that can go on in three ways for each of its rules."""
    names = " | ".join(f"r{i}" for i in range(count))
    rules = "\n".join(f'r{i}: "x{i}"? "y{i}"? "z{i}"' for i in range(count))
    return f'start: "{first}<" ({names})\n{rules}'


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(min(depth, 45)):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def _form(schema: dict[str, Any]) -> bytes:
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    return chat("a", max_tokens=1, response_format=form)
