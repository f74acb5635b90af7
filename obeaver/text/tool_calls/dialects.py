"""How models write calls: the table of dialects.

A dialect has *forms*, the ways in which its models begin a block of calls, and a *format*, the one way in which calls
are written for them: in the prompt, and by a grammar that leaves them no choice. One more family is one more row here,
and one in `models/dialects.py`, which says by what its templates are known.

Every dialect also understands bare objects and code blocks, because small models often forget the markers. Such an
object must stand at the beginning of a line, and be nothing but a call: a name that was offered, and arguments.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from obeaver.text.tool_calls.arguments import IS_STRING, KEY, TYPE, StringArguments, TagWords
from obeaver.text.tool_calls.dialect import CALL_ID, INDEX, CallFormat, Channels, Dialect, Form
from obeaver.text.tool_calls.forms import (
    ANYWHERE,
    PYTHON_LIST,
    between_markers,
    code,
    fenced_after,
    gemma,
    marked,
    named,
    recipient,
    tag_or_json,
    tags,
    word_and_list,
)
from obeaver.text.tool_calls.keyword_calls import GEMMA, PYTHON
from obeaver.text.tool_calls.named_calls import ARGS_MARKER, ID_MARKER, CallMarkers

_END_TOOL_CALL: Final = "</tool_call>"

# Tags of the families that write their arguments as such.
_QWEN: Final = TagWords("<function=", ">\n", "</function>", "<parameter=", ">", "</parameter>", pad="\n")
_SEED: Final = TagWords("<function=", ">\n", "</function>", "<parameter=", ">", "</parameter>")
_GLM: Final = TagWords(
    "<tool_call>",
    "\n",
    _END_TOOL_CALL,
    "<arg_key>",
    "</arg_key>\n<arg_value>",
    "</arg_value>",
    name_tail="",
    key_tail="<arg_value>",
    bare_name=True,
)
_HY3: Final = TagWords(
    "<tool_call:opensource>",
    "<tool_sep:opensource>\n",
    "</tool_call:opensource>",
    "<arg_key:opensource>",
    "</arg_key:opensource>\n<arg_value:opensource>",
    "</arg_value:opensource>",
    name_tail="<tool_sep:opensource>",
    key_tail="<arg_value:opensource>",
    bare_name=True,
)
_K3: Final = TagWords(
    '<|open|>call tool="',
    f'" index="{INDEX}"<|sep|>',
    "<|close|>call<|sep|>",
    '<|open|>argument key="',
    f'" type="{TYPE}"<|sep|>',
    "<|close|>argument<|sep|>",
    name_tail="<|sep|>",
    key_tail="<|sep|>",
    gap="",
)
_INVOKE: Final = TagWords('<invoke name="', '">\n', "</invoke>", '<parameter name="', '">', "</parameter>")
_DSML: Final = TagWords(
    '<｜DSML｜invoke name="',
    '">\n',
    "</｜DSML｜invoke>",
    '<｜DSML｜parameter name="',
    f'" string="{IS_STRING}">',
    "</｜DSML｜parameter>",
)
_MINICPM: Final = TagWords('<function name="', '">', "</function>", '<param name="', '">', "</param>", gap="")

_M3_MARK: Final = "]<]minimax[>["
_M3: Final = TagWords(
    f'{_M3_MARK}<invoke name="',
    '">',
    f"{_M3_MARK}</invoke>",
    f"{_M3_MARK}<",
    ">",
    f"{_M3_MARK}</{KEY}>",
    gap="",
    mark=_M3_MARK,
)

# Markers of the families that write a name and JSON between them.
_KIMI: Final = CallMarkers(
    "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>", ("<|tool_calls_section_end|>",)
)
_DEEPSEEK: Final = CallMarkers(
    "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", ("<｜tool▁calls▁end｜>",)
)

_SOLAR: Final = CallMarkers(
    "<|tool_call:begin|>",
    "<|tool_call:name|>",
    "<|tool_call:end|>",
    ("<|calls|>",),
    arguments="<|tool_call:args|>",
)

_TOOL_CALL: Final = tags(_QWEN, "<tool_call>", _END_TOOL_CALL)
_MISTRAL: Final = named("[TOOL_CALLS]")
_PHI: Final = marked("<|tool_call|>", "<|/tool_call|>")
_FUNCTOOLS: Final = word_and_list("functools")

_NAME: Final = '{"name": "'
_ARGUMENTS: Final = '", "arguments": '


def _dialect(
    name: str,
    call_format: CallFormat,
    *forms: Form,
    markers: tuple[str, ...] = (),
    channels: Channels | None = None,
) -> Dialect:
    control = [text for form in forms for text in (form.opener, *form.closers)]
    written = call_format.write([("name", '{"key": "value"}')] * 2)
    return Dialect(
        name,
        forms + ANYWHERE,
        call_format,
        (*control, *markers, written, *(channels.texts if channels else ())),
        channels,
    )


def _objects(list_begin: str, list_end: str) -> CallFormat:
    return CallFormat(_NAME, _ARGUMENTS, "}", list_begin=list_begin, separator=", ", list_end=list_end)


def _tagged(words: TagWords, begin: str, end: str, **rest: str) -> CallFormat:
    """Function tags, each in a block of its own, unless `list_begin` and `list_end` say otherwise."""
    return CallFormat(begin + words.function, words.name_end, words.function_end + end, arguments=words, **rest)


def _code(begin: str, end: str) -> CallFormat:
    return CallFormat("", "(", ")", list_begin=begin, separator=", ", list_end=end, arguments=PYTHON)


DEFAULT_DIALECT: Final = "hermes"
"""For models whose template knows no tools: its markers are short, and leave no doubt where a call begins."""

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            # JSON between markers.
            _dialect(  # Hermes 2 Pro, Qwen 2.5 and 3, Granite 4, SmolLM3
                DEFAULT_DIALECT,
                CallFormat(f"<tool_call>\n{_NAME}", _ARGUMENTS, f"}}\n{_END_TOOL_CALL}"),
                *_TOOL_CALL,
            ),
            _dialect(  # Phi 4 mini, Granite 3
                "phi", _objects("<|tool_call|>[", "]<|/tool_call|>"), _PHI, *_TOOL_CALL, _FUNCTOOLS
            ),
            _dialect("functools", _objects("functools[", "]"), _FUNCTOOLS, _PHI),
            _dialect(
                "function_calls",
                _objects("<|function_calls|>[", "]<|/function_calls|>"),
                marked("<|function_calls|>", "<|/function_calls|>", "<|end_function_calls|>"),
            ),
            _dialect(
                "functioncall",
                CallFormat(f"<functioncall> {_NAME}", _ARGUMENTS, "}"),
                marked("<functioncall>", "</functioncall>"),
            ),
            _dialect(  # Nemotron Nano 2
                "toolcall", _objects("<TOOLCALL>[", "]</TOOLCALL>"), marked("<TOOLCALL>", "</TOOLCALL>")
            ),
            _dialect(  # Apriel, MiniMax M1
                "tool_calls", _objects("<tool_calls>[", "]</tool_calls>"), marked("<tool_calls>", "</tool_calls>")
            ),
            _dialect(  # GigaChat 3.1
                "gigachat",
                CallFormat(f"<|function_call|>{_NAME}", _ARGUMENTS, "}"),
                marked("<|function_call|>", "<|message_sep|>"),
            ),
            _dialect(
                "gigachat3",
                CallFormat(f"<|message_sep|>\n\nfunction call<|role_sep|>\n{_NAME}", _ARGUMENTS, "}"),
                marked("<|message_sep|>\n\nfunction call<|role_sep|>"),
                marked("function call<|role_sep|>"),
            ),
            _dialect(  # Apertus
                "tools_prefix",
                CallFormat(
                    '{"', '": ', "}", list_begin="<|tools_prefix|>[", separator=", ", list_end="]<|tools_suffix|>"
                ),
                marked("<|tools_prefix|>", "<|tools_suffix|>", keyed=True),
            ),
            _dialect(  # Command R7B and A
                "command",
                CallFormat(
                    f'{{"tool_call_id": "{INDEX}", "tool_name": "',
                    '", "parameters": ',
                    "}",
                    list_begin="<|START_ACTION|>[\n    ",
                    separator=",\n    ",
                    list_end="\n]<|END_ACTION|>",
                ),
                marked("<|START_ACTION|>", "<|END_ACTION|>"),
            ),
            _dialect(  # Command R and R+
                "action",
                CallFormat(
                    '{"tool_name": "',
                    '", "parameters": ',
                    "}",
                    list_begin="Action:\n```json\n[",
                    separator=", ",
                    list_end="]\n```",
                ),
                fenced_after("Action:"),
            ),
            # A name and JSON.
            _dialect(  # Mistral before version 11 of its tokenizer
                "mistral_list", _objects("[TOOL_CALLS][", "]"), _MISTRAL, markers=(ARGS_MARKER, ID_MARKER)
            ),
            _dialect(
                "mistral",
                CallFormat("[TOOL_CALLS]", ARGS_MARKER, "", separator=""),
                _MISTRAL,
                markers=(ARGS_MARKER, ID_MARKER),
            ),
            _dialect(
                "kimi",
                CallFormat(
                    f"{_KIMI.begin}functions.",
                    f":{INDEX}{_KIMI.middle}",
                    _KIMI.end,
                    list_begin="<|tool_calls_section_begin|>",
                    separator="",
                    list_end=_KIMI.section_ends[0],
                ),
                *between_markers(_KIMI, "<|tool_calls_section_begin|>"),
            ),
            _dialect(  # Solar Open
                "solar",
                CallFormat(
                    f"{_SOLAR.begin}{CALL_ID}{_SOLAR.middle}",
                    _SOLAR.arguments,
                    _SOLAR.end,
                    list_begin="<|tool_calls|>",
                    separator="",
                    list_end=_SOLAR.section_ends[0],
                ),
                *between_markers(_SOLAR, "<|tool_calls|>"),
                channels=Channels(
                    "<|content|>", "<|begin|>assistant", "<|end|>", ("<|begin|>assistant", "<|content|>", "<|end|>")
                ),
            ),
            _dialect(  # DeepSeek V3, R1 and the models distilled from it
                "deepseek",
                CallFormat(
                    f"{_DEEPSEEK.begin}function{_DEEPSEEK.middle}",
                    "\n```json\n",
                    f"\n```{_DEEPSEEK.end}",
                    list_begin="<｜tool▁calls▁begin｜>",
                    list_end=_DEEPSEEK.section_ends[0],
                ),
                *between_markers(_DEEPSEEK, "<｜tool▁calls▁begin｜>"),
            ),
            _dialect(
                "deepseek_v3_1",
                CallFormat(
                    _DEEPSEEK.begin,
                    _DEEPSEEK.middle,
                    _DEEPSEEK.end,
                    list_begin="<｜tool▁calls▁begin｜>",
                    separator="",
                    list_end=_DEEPSEEK.section_ends[0],
                ),
                *between_markers(_DEEPSEEK, "<｜tool▁calls▁begin｜>"),
            ),
            _dialect(  # gpt-oss
                "harmony",
                CallFormat(
                    "<|channel|>commentary to=functions.",
                    " <|constrain|>json<|message|>",
                    "",
                    separator="<|end|><|start|>assistant",
                ),
                markers=("<|call|>", "<|return|>"),
                channels=Channels("<|channel|>final<|message|>", "<|start|>assistant"),
            ),
            _dialect(  # Functionary 3.2
                "functionary",
                CallFormat("", "\n", "", separator=">>>"),
                recipient(">>>", "all"),
                channels=Channels("all\n", ">>>", frames=(">>>all\n",), opened=">>>"),
            ),
            # Tags.
            _dialect(  # Qwen3-Coder, Qwen 3.5, Nemotron 3, StepFun
                "qwen3_coder", _tagged(_QWEN, "<tool_call>\n", f"\n{_END_TOOL_CALL}"), *_TOOL_CALL
            ),
            _dialect(
                "seed",
                _tagged(_SEED, "<seed:tool_call>\n", "\n</seed:tool_call>"),
                *tags(_SEED, "<seed:tool_call>", "</seed:tool_call>"),
            ),
            _dialect("glm", _tagged(_GLM, "", ""), tag_or_json(_GLM)),  # GLM 4.5 and later
            _dialect(  # Hunyuan 3
                "hunyuan",
                _tagged(
                    _HY3,
                    "",
                    "\n",
                    list_begin="<tool_calls:opensource>\n",
                    separator="",
                    list_end="</tool_calls:opensource>",
                ),
                *tags(_HY3, "<tool_calls:opensource>", "</tool_calls:opensource>"),
            ),
            _dialect(  # Kimi K3: the user's text is open from the thought on, or from the prompt on
                "kimi_k3",
                _tagged(
                    _K3,
                    "",
                    "",
                    list_begin="<|close|>response<|sep|><|open|>tools<|sep|>",
                    separator="",
                    list_end="<|close|>tools<|sep|><|close|>message<|sep|>",
                ),
                *tags(_K3, "<|open|>tools<|sep|>", "<|close|>tools<|sep|>"),
                channels=Channels(
                    "",
                    "<|open|>response<|sep|>",
                    "<|close|>response<|sep|><|close|>message<|sep|>",
                    ("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
                ),
            ),
            _dialect(  # MiniMax M2
                "minimax",
                _tagged(
                    _INVOKE, "", "\n", list_begin="<minimax:tool_call>\n", separator="", list_end="</minimax:tool_call>"
                ),
                *tags(_INVOKE, "<minimax:tool_call>", "</minimax:tool_call>"),
            ),
            _dialect(
                "minimax_m3",
                _tagged(
                    _M3,
                    "",
                    "\n",
                    list_begin=f"{_M3_MARK}<tool_call>\n",
                    separator="",
                    list_end=f"{_M3_MARK}</tool_call>",
                ),
                *tags(_M3, f"{_M3_MARK}<tool_call>", f"{_M3_MARK}</tool_call>"),
            ),
            _dialect(  # DeepSeek V3.2
                "deepseek_v3_2",
                _tagged(
                    _DSML,
                    "",
                    "\n",
                    list_begin="<｜DSML｜function_calls>\n",
                    separator="",
                    list_end="</｜DSML｜function_calls>",
                ),
                *tags(_DSML, "<｜DSML｜function_calls>", "</｜DSML｜function_calls>"),
            ),
            _dialect(  # DeepSeek V4
                "deepseek_v4",
                _tagged(
                    _DSML, "", "\n", list_begin="<｜DSML｜tool_calls>\n", separator="", list_end="</｜DSML｜tool_calls>"
                ),
                *tags(_DSML, "<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>"),
            ),
            _dialect("minicpm", _tagged(_MINICPM, "", ""), *tags(_MINICPM)),  # MiniCPM 5
            # Code.
            _dialect(
                "llama3",
                CallFormat(_NAME, '", "parameters": ', "}", separator="; "),
                code("<|python_tag|>", "<|eom_id|>", "<|eot_id|>"),
                *tags(_QWEN),
                PYTHON_LIST,
            ),
            _dialect(  # Llama 4, ToolACE, and others that were shown Python
                "python", _code("[", "]"), PYTHON_LIST, code("<|python_start|>", "<|python_end|>")
            ),
            _dialect(
                "lfm2",
                _code("<|tool_call_start|>[", "]<|tool_call_end|>"),
                code("<|tool_call_start|>", "<|tool_call_end|>"),
                PYTHON_LIST,
            ),
            _dialect(  # Gemma 3
                "tool_code",
                CallFormat("", "(", ")", list_begin="```tool_code\n", list_end="\n```", arguments=PYTHON),
                PYTHON_LIST,
            ),
            _dialect(  # Gemma 4
                "gemma4",
                CallFormat("<|tool_call>call:", "{", "}<tool_call|>", separator="", arguments=GEMMA),
                gemma("<|tool_call>", "<tool_call|>"),
            ),
            # JSON and nothing else.
            _dialect("json_block", _objects("```json\n[", "]\n```")),
            _dialect(
                "function_call",
                CallFormat('{"function_call": {"name": "', _ARGUMENTS, "}}", arguments=StringArguments()),
            ),
            _dialect("json", CallFormat(_NAME, _ARGUMENTS, "}")),
        )
    }
)
