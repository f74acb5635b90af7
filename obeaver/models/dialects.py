"""What a model's template and vocabulary say about how it writes: tool calls and thoughts."""

from typing import Final

# The first row whose texts all stand in the chat template decides, so one that others contain, or stand beside, comes
# after them. The dialects themselves are rows of `text/tool_calls/dialects.py`.
_TOOL_MARKERS: Final = (
    (("<|channel|>", "<|message|>", "commentary"), "harmony"),  # gpt-oss
    (("<|tool_call>call:",), "gemma4"),
    (("<tool_sep{}>", "<arg_key{}>", ":opensource"), "hunyuan"),  # Hunyuan 3
    (("<|open|>", "<|sep|>", "('call'"), "kimi_k3"),
    (("<|tool_call:begin|>",), "solar"),
    ((">>>${recipient}",), "functionary"),  # Functionary 3.2
    (("<arg_key>", "<arg_value>"), "glm"),  # GLM 4.5 and later
    (("<seed:tool_call>",), "seed"),
    (("<minimax:tool_call>",), "minimax"),
    (("]<]minimax[>[", "<invoke name="), "minimax_m3"),
    (("｜DSML｜", "function_calls>"), "deepseek_v3_2"),
    (("｜DSML｜", "tool_calls>"), "deepseek_v4"),
    (("<｜tool▁call▁begin｜>", "```json"), "deepseek"),  # V3 and R1
    (("<｜tool▁call▁begin｜>",), "deepseek_v3_1"),
    (("<｜tool▁outputs▁begin｜>",), "deepseek"),  # models distilled from R1
    (("<|tool_call_begin|>",), "kimi"),
    (("<|START_ACTION|>",), "command"),
    (("Action:", "```json", "tool_name"), "action"),  # Command R
    (("<|tool_call_start|>",), "lfm2"),
    (("<|tool_list_start|>",), "lfm2"),
    (("List of tools: [",), "lfm2"),
    (("<|tools_prefix|>",), "tools_prefix"),  # Apertus
    (("<|function_call|>",), "gigachat"),
    (("function call", "<|role_sep|>"), "gigachat3"),
    (("<TOOLCALL>",), "toolcall"),  # Nemotron Nano 2
    (("<tool_calls>",), "tool_calls"),  # Apriel, MiniMax M1
    (('<function name="', '<param name="'), "minicpm"),
    (("<parameter=",), "qwen3_coder"),
    (("<|tool_call|>",), "phi"),  # Phi 4 mini, Granite 3
    (("<|tool|>",), "phi"),
    (("functools[",), "functools"),
    (("<tool_call>",), "hermes"),  # Hermes 2 Pro, Qwen 2.5 and 3, Granite 4, SmolLM3
    (("[ARGS]",), "mistral"),
    (("[TOOL_CALLS]",), "mistral_list"),  # before version 11 of Mistral's tokenizer
    (("<|python_start|>",), "python"),  # Llama 4
    (("func_name1(",), "python"),
    (("<|python_tag|>",), "llama3"),
    (("Environment: ipython",), "llama3"),
    (("<function=",), "llama3"),  # Llama 3.1 writes the tag around JSON
    (("<|function_calls|>",), "function_calls"),
    (("<functioncall>",), "functioncall"),
)

# Families whose templates may show tools without a marker of their own.
_TOOL_ARCHITECTURES: Final = {
    "qwen2": "hermes",
    "qwen3": "hermes",
    "mistral": "mistral_list",
    "phi3": "phi",
    "lfm2": "lfm2",
}

# Families that were taught a form of their own, and have templates that know nothing of tools.
_TAUGHT: Final = {"gemma3": "tool_code", "gemma3_text": "tool_code"}

# What is written around thoughts, and the text by which a template is known to use it.
_THINK_MARKERS: Final = (
    ("<think>", "</think>", "</think>"),
    ("[THINK]", "[/THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>", "</mm:think>"),  # MiniMax M3
    ("◁think▷", "◁/think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|>", "<|channel|>analysis<|message|>"),
    ("<|channel>thought\n", "<channel|>", "<channel|>"),
    ("<think:opensource>", "</think:opensource>", ":opensource"),  # Hunyuan 3
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>", "close_tag('think')"),  # Kimi K3
    ("<|think|>", "<|end|>", "<|begin|>assistant<|think|>"),  # Solar Open
    ("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]", "[BEGIN FINAL RESPONSE]"),
)


def tool_dialect(template: str | None, architecture: str) -> str | None:
    """How the model writes tool calls; None when its template does not know tools."""
    if template is None:
        return None
    for markers, dialect in _TOOL_MARKERS:
        if all(marker in template for marker in markers):
            return dialect
    return _TOOL_ARCHITECTURES.get(architecture) if "tools" in template else _TAUGHT.get(architecture)


def think_markers(template: str | None, vocabulary: str) -> tuple[str, str] | None:
    """What the model writes around its thoughts; None when it has no such markers.

    Args:
        template: Its chat template.
        vocabulary: The text of its tokenizer's file: a marker that is one token stands there as a JSON string.
    """
    in_template = [(opening, closing) for opening, closing, sign in _THINK_MARKERS if sign in (template or "")]
    in_vocabulary = (
        (opening, closing)
        for opening, closing, _ in _THINK_MARKERS
        if f'"{opening}"' in vocabulary and f'"{closing}"' in vocabulary
    )
    return in_template[0] if in_template else next(in_vocabulary, None)
