"""A chat request on its way to the engine: all that HTTP and the terminal do alike."""

from dataclasses import dataclass
from typing import Any

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.constraint import grammar_of
from obeaver.api.core.generation import Generation
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.prompt import Prompt, make_prompt
from obeaver.api.core.sampling import sampling_params, stop_strings
from obeaver.api.core.tools import tool_specs
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.errors import ContextLengthExceeded
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.text_stream import TextStream
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS


@dataclass(frozen=True, slots=True)
class ChatJob:
    """A request that can be generated: the model that it began with, and everything that is known before the start."""

    model: LoadedModel
    request: dict[str, Any]
    prompt: Prompt
    grammar: str | None


def prepare_chat(model: LoadedModel, body: object) -> ChatJob:
    """Check, render, tokenise, compile. May take a while for a long conversation; touches nothing of the event loop's.

    Args:
        model: Answers.
        body: The JSON value of a request.

    Raises:
        BadRequest: Names the first parameter at fault.
        TemplateFailed: The template rejects the conversation.
    """
    request = parse_chat_request(body)
    prompt = make_prompt(model, request)
    return ChatJob(model, request, prompt, grammar_of(request, model, think_open=prompt.think_open))


def start_chat(job: ChatJob) -> Generation:
    """Hand a job to the engine.

    Raises:
        ApiError: The request cannot be honoured, or the engine does not take it.
    """
    model, request, token_ids = job.model, job.request, job.prompt.token_ids
    params = sampling_params(
        request,
        room=model.worker.room_for(len(token_ids)),
        vocab_size=model.facts.vocab_size,
        end_ids=model.facts.eos_ids,
        grammar=job.grammar,
    )
    end_ids = frozenset(model.facts.eos_ids)
    texts = [_text_stream(job) for _ in params]
    generation = Generation(model.worker, texts, lambda: ContentLogprobs(model.tokenizer.token_bytes, end_ids))
    try:
        generation.submit(token_ids, params)
    except ContextLengthExceeded as error:
        error.param = "messages"
        raise
    return generation


def _text_stream(job: ChatJob) -> TextStream:
    facts, tokenizer, tools = job.model.facts, job.model.tokenizer, tool_specs(job.request)
    think = ThinkMarkers(*facts.think_markers) if facts.think_markers else None
    markers = [*(think or ()), *(DIALECTS[facts.tool_dialect or DEFAULT_DIALECT].markers if tools else ())]
    return TextStream(
        tokenizer.decoder(),
        stop=stop_strings(job.request),
        end_ids=frozenset(facts.eos_ids),
        marker_text={i: text for text in markers if (i := tokenizer.id_of(text)) is not None},
        think=think,
        think_open=job.prompt.think_open,
        tool_dialect=facts.tool_dialect,
        tools=tools,
        parallel_tool_calls=job.request["parallel_tool_calls"],
    )
