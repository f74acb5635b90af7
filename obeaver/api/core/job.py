"""A conversation on its way to the engine: all that every dialect and the terminal do alike."""

from dataclasses import dataclass

from obeaver.api.contract.limits import KB
from obeaver.api.core.constraint import grammar_of
from obeaver.api.core.conversation import Conversation
from obeaver.api.core.generation import Generation
from obeaver.api.core.limits import check_sampling, num_logprobs
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.prompt import Prompt, make_prompt, may_think
from obeaver.api.core.sampling import Sampling, sampling_params
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.errors import ContextLengthExceeded
from obeaver.text.answer_reader import Expected
from obeaver.text.hold_back import Patterns
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.text_stream import TextStream
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS


@dataclass(frozen=True, slots=True)
class Job:
    """What can be generated: the model that it began with, and everything that is known before the start."""

    model: LoadedModel
    conversation: Conversation
    sampling: Sampling
    prompt: Prompt
    grammar: str | None


def prepare(model: LoadedModel, conversation: Conversation, sampling: Sampling) -> Job:
    """Render, tokenise, compile. May take a while for a long conversation; touches nothing of the event loop's.

    Raises:
        BadRequest: The model's answers cannot be held to what is asked for, or that passes a limit of requests.
        ContextLengthExceeded: The conversation can never fit.
        TemplateFailed: The template rejects the conversation.
    """
    model.worker.refuse_when_full()
    check_sampling(model.limits, sampling)
    prompt = make_prompt(model, conversation)
    return Job(model, conversation, sampling, prompt, grammar_of(conversation, model, think_open=prompt.think_open))


def start(job: Job) -> Generation:
    """Hand a job to the engine.

    Raises:
        ApiError: The request cannot be honoured, or the engine does not take it.
    """
    model, token_ids = job.model, job.prompt.token_ids
    params = sampling_params(
        job.sampling,
        room=model.worker.room_for(len(token_ids)),
        vocab_size=model.facts.vocab_size,
        end_ids=model.facts.eos_ids,
        grammar=job.grammar,
    )
    model.limits.check_logprobs(sum(num_logprobs(len(token_ids), item) for item in params))
    end_ids = frozenset(model.facts.eos_ids)
    stop = Patterns(job.sampling.stop)
    texts = [_text_stream(job, stop) for _ in params]
    generation = Generation(
        model.worker,
        texts,
        lambda: ContentLogprobs(model.tokenizer.token_bytes, end_ids),
        unsent_bytes=model.limits.unsent_kb * KB,
    )
    try:
        generation.submit(token_ids, params)
    except ContextLengthExceeded as error:
        error.param = job.conversation.at
        raise
    return generation


def _text_stream(job: Job, stop: Patterns) -> TextStream:
    facts, tokenizer, tools = job.model.facts, job.model.tokenizer, job.conversation.tools
    expected, thinks = _expected(job.conversation), _may_think(job)
    # Where all of the answer is held to something that leaves no room for thoughts, their markers are text.
    think = (
        ThinkMarkers(*facts.think_markers) if facts.think_markers and (thinks or expected is Expected.TEXT) else None
    )
    dialect = DIALECTS[facts.tool_dialect or DEFAULT_DIALECT]
    markers = [*(think or ()), *(dialect.markers if tools.offered or dialect.channels else ())]
    return TextStream(
        tokenizer.decoder(),
        stop=stop,
        stop_tokens=tokenizer.stop_tokens(job.sampling.stop),
        end_ids=frozenset(facts.eos_ids),
        marker_text={token_id: text for text, token_id in tokenizer.added_ids_in(markers).items()},
        think=think,
        think_open=job.prompt.think_open,
        tool_dialect=facts.tool_dialect,
        tools=tools.specs,
        parallel_tool_calls=tools.several(job.model.chat_template),
        expected=expected,
        thinks_again=thinks,
    )


def _may_think(job: Job) -> bool:
    return may_think(job.model.chat_template, job.conversation, think_open=job.prompt.think_open)


def _expected(conversation: Conversation) -> Expected:
    if conversation.tools.offered and conversation.tools.choice.mode != "auto":
        return Expected.CALLS
    return Expected.TEXT if conversation.form is None else Expected.FORM
