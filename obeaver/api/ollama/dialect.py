"""Ollama's native dialect: what it answers, and by which handlers."""

from collections.abc import Mapping

from obeaver.api.contract.operations import BODY_ERRORS, CHOICE_ERRORS, ENGINE_ERRORS, Operation
from obeaver.api.core.dialect import Dialect
from obeaver.api.encoders.state import EmbedState
from obeaver.api.models.state import ApiState
from obeaver.api.ollama.embed import EmbedApi
from obeaver.api.ollama.endpoint import TextApi
from obeaver.api.ollama.error_shape import OllamaErrors
from obeaver.api.ollama.models import ModelsApi
from obeaver.api.ollama.pull import PullApi
from obeaver.api.ollama.version import tell_version
from obeaver.errors import (
    Conflict,
    ContextLengthExceeded,
    Forbidden,
    GrammarTooComplex,
    ModelLoadFailed,
    NoChatTemplate,
    NotFound,
    TemplateFailed,
)
from obeaver.web import ndjson
from obeaver.web.router import Handler

_TEXT_ERRORS = (
    *BODY_ERRORS,
    ContextLengthExceeded,
    GrammarTooComplex,
    NoChatTemplate,
    TemplateFailed,
    *CHOICE_ERRORS,
    *ENGINE_ERRORS,
)


def _handlers(state: ApiState) -> Mapping[str, Handler]:
    text, models = TextApi(state), ModelsApi(state)
    return {
        "ollamaChat": text.chat,
        "ollamaGenerate": text.generate,
        "ollamaVersion": tell_version,
        "ollamaTags": models.tags,
        "ollamaPs": models.running,
        "ollamaShow": models.show,
        "ollamaPull": PullApi(state.pulls, state.catalog).pull,
    }


def _embed_handlers(state: EmbedState) -> Mapping[str, Handler]:
    api = EmbedApi(state)
    return {"ollamaVersion": tell_version, "ollamaEmbed": api.embed, "ollamaEmbedding": api.embedding}


_VERSION = Operation(
    "ollamaVersion",
    "GET",
    "/api/version",
    "The version, where Ollama's clients ask",
    response="OllamaVersion",
    error="OllamaError",
)

OLLAMA = Dialect(
    operations=(
        Operation(
            id="ollamaChat",
            method="POST",
            path="/api/chat",
            summary="Answer a conversation as Ollama does, in lines or whole",
            request="ollama_chat",
            response="OllamaChat",
            error="OllamaError",
            event="OllamaChat",
            event_type=ndjson.MEDIA_TYPE,
            errors=_TEXT_ERRORS,
            example='{"model": "smollm2-135m", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}',
        ),
        Operation(
            id="ollamaGenerate",
            method="POST",
            path="/api/generate",
            summary="Answer a prompt as Ollama does, in lines or whole",
            request="ollama_generate",
            response="OllamaGenerate",
            error="OllamaError",
            event="OllamaGenerate",
            event_type=ndjson.MEDIA_TYPE,
            errors=_TEXT_ERRORS,
            example='{"model": "smollm2-135m", "prompt": "Why is the sky blue?"}',
        ),
        _VERSION,
        Operation(
            "ollamaTags", "GET", "/api/tags", "The models that could answer", response="OllamaTags", error="OllamaError"
        ),
        Operation("ollamaPs", "GET", "/api/ps", "The models in memory", response="OllamaPs", error="OllamaError"),
        Operation(
            id="ollamaShow",
            method="POST",
            path="/api/show",
            summary="What there is to know of a model",
            request="ollama_show",
            response="OllamaShow",
            error="OllamaError",
            errors=(*BODY_ERRORS, NotFound),
            example='{"model": "smollm2-135m"}',
        ),
        Operation(
            id="ollamaPull",
            method="POST",
            path="/api/pull",
            summary="Fetch a model of the catalogue or the hub, where `--allow-pull` allows it",
            request="ollama_pull",
            response="OllamaProgress",
            error="OllamaError",
            event="OllamaProgress",
            event_type=ndjson.MEDIA_TYPE,
            errors=(*BODY_ERRORS, NotFound, Forbidden, Conflict, ModelLoadFailed),
            example='{"model": "smollm2-135m"}',
        ),
    ),
    handlers=_handlers,
    errors=OllamaErrors(),
)

OLLAMA_EMBED = Dialect(
    operations=(
        _VERSION,
        Operation(
            id="ollamaEmbed",
            method="POST",
            path="/api/embed",
            summary="Vectors of length 1 for texts, as Ollama has them",
            request="ollama_embed",
            response="OllamaEmbed",
            error="OllamaError",
            errors=(*BODY_ERRORS, ContextLengthExceeded, *ENGINE_ERRORS),
            example='{"input": ["Beavers build dams.", "Biber bauen Burgen."]}',
        ),
        Operation(
            id="ollamaEmbedding",
            method="POST",
            path="/api/embeddings",
            summary="The vector of one text, as Ollama had it before",
            request="ollama_embedding",
            response="OllamaEmbedding",
            error="OllamaError",
            errors=(*BODY_ERRORS, ContextLengthExceeded, *ENGINE_ERRORS),
            example='{"prompt": "Beavers build dams."}',
        ),
    ),
    handlers=_embed_handlers,
    errors=OllamaErrors(),
)
