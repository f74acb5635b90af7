"""What a model's template and vocabulary say about how it writes: tool calls and thoughts."""

from typing import Final

# The first marker found in the chat template decides, so one that others contain, or stand beside, comes after them.
_TOOL_MARKERS: Final = (
    ("<parameter=", "qwen3_coder"),
    ("<|tool_call|>", "phi"),  # Phi 4 mini, Granite 3
    ("<|tool|>", "phi"),
    ("functools[", "functools"),
    ("<tool_call>", "hermes"),  # Hermes 2 Pro, Qwen 2.5 and 3
    ("[ARGS]", "mistral"),
    ("[TOOL_CALLS]", "mistral_list"),  # before version 11 of Mistral's tokenizer
    ("<|python_tag|>", "llama3"),
    ("Environment: ipython", "llama3"),
    ("<function=", "llama3"),  # Llama 3.1 writes the tag around JSON
    ("<|function_calls|>", "function_calls"),
    ("<functioncall>", "functioncall"),
)

# Families whose templates may show tools without a marker of their own.
_TOOL_ARCHITECTURES: Final = {"qwen2": "hermes", "qwen3": "hermes", "mistral": "mistral_list", "phi3": "phi"}

_THINK_MARKERS: Final = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
)


def tool_dialect(template: str | None, architecture: str) -> str | None:
    """How the model writes tool calls; None when its template does not know tools."""
    if template is None:
        return None
    for marker, dialect in _TOOL_MARKERS:
        if marker in template:
            return dialect
    return _TOOL_ARCHITECTURES.get(architecture) if "tools" in template else None


def think_markers(template: str | None, vocabulary: str) -> tuple[str, str] | None:
    """What the model writes around its thoughts; None when it has no such markers.

    Args:
        template: Its chat template.
        vocabulary: The text of its tokenizer's file: a marker that is one token stands there as a JSON string.
    """
    for opening, closing in _THINK_MARKERS:
        in_template = template is not None and closing in template
        if in_template or (f'"{opening}"' in vocabulary and f'"{closing}"' in vocabulary):
            return opening, closing
    return None
