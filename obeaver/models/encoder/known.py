"""What is known of embedding models by their names, for files and folders that do not say it themselves.

GGUF files have no prompts, and folders made for other runtimes often lack the file that names the pooling. What a file
says always wins. Sources: the models' own cards and configurations.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model, or a family of them.

    Attributes:
        name: A pattern that its names hold, in lower case.
        pooling: How its vectors are made.
        prompts: What goes before a text, by name.
        ending: A token that stands behind each text, and whose vector is the text's.
        dense: Its vectors pass dense layers behind pooling, which some files lack.
        pair: What a reranker reads that gets query and document in one prompt, with `{query}` and `{document}`.
    """

    name: str
    pooling: str
    prompts: Mapping[str, str] = field(default_factory=dict)
    ending: str | None = None
    dense: bool = False
    pair: str | None = None


_TASK: Final = "Given a web search query, retrieve relevant passages that answer the query"
_REPRESENT: Final = {"query": "Represent this sentence for searching relevant passages: "}
_QWEN3_PAIR: Final = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    f"<|im_start|>user\n<Instruct>: {_TASK}\n<Query>: {{query}}\n<Document>: {{document}}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
_GEMMA_PROMPTS: Final = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "classification": "task: classification | query: ",
    "clustering": "task: clustering | query: ",
    "STS": "task: sentence similarity | query: ",
}
_NOMIC_PROMPTS: Final = {
    name: f"{name}: " for name in ("search_query", "search_document", "classification", "clustering")
}

KNOWN_MODELS: Final = (
    KnownModel(
        "qwen3-embedding",
        "lasttoken",
        {"query": f"Instruct: {_TASK}\nQuery:", "document": ""},
        ending="<|endoftext|>",
    ),
    KnownModel("qwen3-reranker", "lasttoken", pair=_QWEN3_PAIR),
    KnownModel("embedding-?gemma", "mean_tokens", _GEMMA_PROMPTS, dense=True),
    KnownModel("nomic-embed-text", "mean_tokens", _NOMIC_PROMPTS),
    KnownModel("bge-m3", "cls_token"),
    KnownModel(r"bge-(small|base|large)-en", "cls_token", _REPRESENT),
    KnownModel(r"bge-(small|base|large)", "cls_token"),
    KnownModel("bge-reranker", "cls_token"),
    KnownModel(r"arctic-embed-[ml]-v2", "cls_token", {"query": "query: "}),
    KnownModel("arctic-embed", "cls_token", _REPRESENT),
    KnownModel("mxbai-embed", "cls_token", _REPRESENT),
    KnownModel(r"gte-((base|large)-en-v1|modernbert|multilingual)", "cls_token"),
    KnownModel(r"e5-(small|base|large)(-v2)?$", "mean_tokens", {"query": "query: ", "passage": "passage: "}),
)
"""The first one that fits counts."""


def known_model(*names: object) -> KnownModel | None:
    """What is known of a model that is called so, somewhere; names that are no text are passed over."""
    texts = [re.sub(r"[\s_]+", "-", name.lower()) for name in names if isinstance(name, str)]
    return next((known for known in KNOWN_MODELS if any(re.search(known.name, text) for text in texts)), None)
