"""How byte-level vocabularies cut text before merging: a table of the names in `tokenizer.ggml.pre`.

The patterns are those of the models' own tokenizers, which llama.cpp's `llama-vocab.cpp` has as well; so are the names,
of which many stand for one rule. A further name is a row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from obeaver.errors import ModelError


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """What a name in `tokenizer.ggml.pre` stands for.

    Attributes:
        steps: Cut the text one after the other, before the byte-level step.
        own_pattern: The byte-level step cuts as well, with GPT-2's pattern.
        normalizer: Applied to the text first, None for none.
        ignore_merges: A piece that is a token as a whole is not merged from its parts.
        add_bos: BOS goes first where the file does not say.
    """

    steps: tuple[Mapping[str, Any], ...] = ()
    own_pattern: bool = False
    normalizer: Mapping[str, Any] | None = None
    ignore_merges: bool = False
    add_bos: bool = False


# Pieces of patterns that families share, each an alternative.
_SUFFIXES: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_GPT2_SUFFIXES: Final = r"'s|'t|'re|'ve|'m|'ll|'d"
_WORD: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS: Final = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LINE_ENDS: Final = r"\s*[\r\n]+"
_SPACE: Final = r"\s+(?!\S)|\s+"  # leaves its last character to the word that follows
_THREE_DIGITS: Final = r"\p{N}{1,3}"
_ASCII_SIGNS: Final = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED: Final = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+SUFFIX|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*SUFFIX"
_PATH_SIGNS: Final = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_CJK: Final = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_HAN_AND_KANA: Final = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_WIDE_SIGNS: Final = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
# DeepSeek's letters of the scripts that have cases.
_CASED_SCRIPTS: Final = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
    "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-"
    "\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_NFC: Final[Mapping[str, Any]] = {"type": "NFC"}


def _split(*alternatives: str) -> Mapping[str, Any]:
    """Each match is a piece, and so is what stands between two."""
    return {"type": "Split", "pattern": {"Regex": "|".join(alternatives)}, "behavior": "Isolated", "invert": False}


def _words(digits: str, *, word: str = _WORD, signs: str = _SIGNS, suffixes: str = _SUFFIXES) -> PreTokenizer:
    """One pattern after that of GPT-4: contractions, words, digits, signs, line ends, white space."""
    return PreTokenizer(steps=(_split(suffixes, word, digits, signs, _LINE_ENDS, _SPACE),))


def _cased(digits: str, suffix: str) -> PreTokenizer:
    """One pattern after that of GPT-4o, which cuts words where lower case turns to upper case."""
    return PreTokenizer(steps=(_split(_CASED.replace("SUFFIX", suffix), digits, _PATH_SIGNS, _LINE_ENDS, _SPACE),))


_GPT2: Final = PreTokenizer(own_pattern=True)
_GPT2_WORDS: Final = _split(_GPT2_SUFFIXES, r" ?\p{L}+", r" ?\p{N}+", r" ?[^\s\p{L}\p{N}]+", r"\s+(?!\S)")
_SINGLE_DIGITS: Final = PreTokenizer(steps=({"type": "Digits", "individual_digits": True},), own_pattern=True)
_GPT4: Final = _words(_THREE_DIGITS)
_LLAMA3: Final = replace(_GPT4, ignore_merges=True, add_bos=True)
_QWEN2: Final = replace(_words(r"\p{N}"), normalizer=_NFC)
_QWEN35: Final = _words(r"\p{N}", word=r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+", signs=r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*")
_GPT4O: Final = _cased(_THREE_DIGITS, f"{_SUFFIXES}?")
_TEKKEN: Final = replace(_cased(r"\p{N}", ""), ignore_merges=True, add_bos=True)
_DEEPSEEK_LLM: Final = PreTokenizer(
    steps=(
        _split("[\r\n]"),
        _split(rf"\s?[{_CASED_SCRIPTS}]+"),
        _split(rf"\s?[{_WIDE_SIGNS}]+"),
        _split(r"\s+$"),
        _split(_CJK),
        _split(r"\p{N}+"),
    )
)
_DEEPSEEK_CODER: Final = PreTokenizer(
    steps=(_split("[\r\n]"), _split(r"\s?\p{L}+"), _split(r"\s?\p{P}+"), _split(_CJK), _split(r"\p{N}"))
)
_DEEPSEEK_V3_WORDS: Final = (
    rf"{_ASCII_SIGNS}[A-Za-z]+",
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r" ?[\p{P}\p{S}]+[\r\n]*",
    _LINE_ENDS,
    _SPACE,
)
_DEEPSEEK_V3: Final = PreTokenizer(steps=(_split(_THREE_DIGITS), _split(_HAN_AND_KANA), _split(*_DEEPSEEK_V3_WORDS)))
_FALCON: Final = PreTokenizer(steps=(_split(r"[\p{P}\$\+<=>\^~\|`]+"), _GPT2_WORDS, _split("[0-9][0-9][0-9]")))
_DEFAULT: Final = PreTokenizer(
    steps=(_split(r"[\p{P}\$\+<=>\^~\|]+"), _GPT2_WORDS, _split(r"\p{N}+"), _split("[0-9][0-9][0-9]"))
)
_BLOOM: Final = _split(" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+")
_BAILING: Final = PreTokenizer(steps=(_split(r"'(?i:[sdmt]|ll|ve|re)", _WORD, r"\p{N}", _SIGNS, r"\s*[\r\n]", _SPACE),))
_SEED_CODER: Final = _words(r"\p{N}", signs=r" ?[^\s\p{L}\p{N}\r\n]+")
_EXAONE_MOE: Final = PreTokenizer(
    steps=(
        _split(
            _SUFFIXES,
            r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
            r"\p{N}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
            r"\s*[\r\n]",
            _SPACE,
        ),
    )
)
_TINY_AYA: Final = PreTokenizer(steps=(_split(r"\d{1,3}(?=(?:\d{3})*\b)"), *_GPT4O.steps))
_MINICPM5: Final = PreTokenizer(steps=(_split(_THREE_DIGITS), *_words(r"\p{N}+").steps), ignore_merges=True)
_LAGUNA: Final = PreTokenizer(steps=(_split(r"[^\n]+", r"[\n]+"), *_words(r"\p{N}").steps))


def _named(pre: PreTokenizer, *names: str) -> dict[str, PreTokenizer]:
    return dict.fromkeys(names, pre)


PRE_TOKENIZERS: Final[Mapping[str, PreTokenizer]] = MappingProxyType(
    {
        **_named(_GPT2, "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat", "exaone4"),
        **_named(_GPT2, "a.x-4.0", "mellum", "modern-bert", "roberta-bpe"),
        **_named(_GPT2, "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code"),
        **_named(_SINGLE_DIGITS, "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"),
        **_named(_SINGLE_DIGITS, "minerva-7b", "mellum2"),
        **_named(_LLAMA3, "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        **_named(_LLAMA3, "jina-v5-nano"),
        **_named(_GPT4, "dbrx", "smaug-bpe", "chatglm-bpe"),
        **_named(replace(_GPT4, ignore_merges=True), "glm4", "glm5"),
        **_named(_QWEN2, "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"),
        # The same cut, of families whose tokenizers do not normalise.
        **_named(_words(r"\p{N}"), "stablelm2", "hunyuan", "solar-open", "grok-2"),
        **_named(_QWEN35, "qwen35"),
        **_named(_GPT4O, "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"),
        **_named(replace(_GPT4O, ignore_merges=True), "granite-embed-multi-97m"),
        **_named(_TEKKEN, "tekken"),
        **_named(_DEEPSEEK_LLM, "deepseek-llm"),
        **_named(_DEEPSEEK_CODER, "deepseek-coder"),
        **_named(_DEEPSEEK_V3, "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"),
        **_named(_FALCON, "falcon"),
        **_named(PreTokenizer(steps=(_BLOOM,)), "bloom", "poro-chat", "gpt3-finnish"),
        **_named(PreTokenizer(steps=(_BLOOM, _split(r"\p{N}"))), "viking"),
        **_named(_BAILING, "bailingmoe", "bailingmoe2", "llada-moe"),
        **_named(_SEED_CODER, "seed-coder"),
        **_named(_EXAONE_MOE, "exaone-moe"),
        **_named(_TINY_AYA, "tiny_aya", "cohere2moe"),
        **_named(_MINICPM5, "minicpm5"),
        **_named(_LAGUNA, "laguna"),
        **_named(_DEFAULT, "default"),
    }
)
"""By name."""


def pre_tokenizer(name: object) -> PreTokenizer:
    """Look a name up.

    Raises:
        ModelError: There is no such pre-tokenizer here; names it.
    """
    found = PRE_TOKENIZERS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(PRE_TOKENIZERS)
        raise ModelError(f"the pre-tokenizer {name!r} (tokenizer.ggml.pre) is not supported; known are {known}")
    return found
