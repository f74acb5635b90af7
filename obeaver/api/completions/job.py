"""A request for completions on its way to the engine: no template, no tools, no thoughts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from obeaver.api.contract.validation import parse
from obeaver.api.core.generation import Generation
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.sampling import check_generation, for_each_choice, shared_params, stop_strings
from obeaver.api.core.text_prompts import TextPrompt, text_prompts
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest, ContextLengthExceeded
from obeaver.text.text_stream import TextStream
from obeaver.text.tokenizer import TokenDecoder

MAX_CHOICES: Final = 128
"""Answers to one request: what a chat request's `n` may be."""

_TAIL: Final = 8
"""Tokens of the prompt that a decoder has to have seen: more than a character can be cut into."""


@dataclass(frozen=True, slots=True)
class CompletionJob:
    """A request that can be generated, and the model that it began with."""

    model: LoadedModel
    request: dict[str, Any]
    prompts: list[TextPrompt]

    def prompt_of(self, choice: int) -> TextPrompt:
        """The prompt of the choice with this index: the choices of the first one come first."""
        num_choices: int = self.request["n"]
        return self.prompts[choice // num_choices]


def prepare_completion(model: LoadedModel, body: object) -> CompletionJob:
    """Check and tokenise. May take a while for long prompts; touches nothing of the event loop's.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("completion", body)
    check_generation(request, request["max_tokens"])
    if request["best_of"] not in (None, 1, request["n"]):
        raise _refusal("`best_of` must be 1 or the same as `n`: answers are not compared.", "best_of")
    if request["max_tokens"] == 0 and not request["echo"]:
        raise _refusal("`max_tokens` must be at least 1 without `echo`.", "max_tokens")
    prompts = text_prompts(model, request["prompt"])
    if len(prompts) * request["n"] > MAX_CHOICES:
        raise _refusal(f"`prompt` must not ask for more than {MAX_CHOICES} answers, `n` for each text.", "prompt")
    return CompletionJob(model, request, prompts)


def _refusal(message: str, param: str) -> BadRequest:
    return BadRequest(message, param=param, code="invalid_value")


def start_completion(job: CompletionJob) -> Generation:
    """Hand a job to the engine.

    Raises:
        ApiError: The request cannot be honoured, or the engine does not take it.
    """
    model = job.model
    end_ids = frozenset(model.facts.eos_ids)
    work = [(prompt.token_ids, _params(job, prompt)) for prompt in job.prompts]
    texts = [
        TextStream(_decoder(model, token_ids), stop=stop_strings(job.request), end_ids=end_ids)
        for token_ids, params in work
        for _ in params
    ]
    generation = Generation(model.worker, texts, lambda: ContentLogprobs(model.tokenizer.token_bytes, end_ids))
    try:
        generation.submit_all(work)
    except ContextLengthExceeded as error:
        error.param = "prompt"
        raise
    except BadRequest as error:
        error.param = "echo"
        raise
    return generation


def _params(job: CompletionJob, prompt: TextPrompt) -> list[SamplingParams]:
    request, model = job.request, job.model
    params = shared_params(
        request,
        limit=request["max_tokens"],
        room=model.worker.room_for(len(prompt.token_ids)),
        vocab_size=model.facts.vocab_size,
        end_ids=model.facts.eos_ids,
    )
    num_logprobs = request["logprobs"]
    params = replace(params, num_logprobs=num_logprobs, num_prompt_logprobs=num_logprobs if request["echo"] else None)
    return for_each_choice(request, params)


def _decoder(model: LoadedModel, token_ids: Sequence[int]) -> TokenDecoder:
    """A decoder that has read the prompt: the space at the beginning of what follows is the text's own."""
    decoder = model.tokenizer.decoder()
    for token_id in token_ids[-_TAIL:]:
        decoder.push(token_id)
    return decoder
