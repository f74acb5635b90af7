"""A request for completions on its way to the engine: no template, no tools, no thoughts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from obeaver.api.completions.request import CompletionRequest
from obeaver.api.contract.limits import KB
from obeaver.api.core.generation import Generation
from obeaver.api.core.limits import check_sampling, num_logprobs
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.sampling import sampling_params
from obeaver.api.core.text_prompts import TextPrompt, text_prompt
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest, ContextLengthExceeded
from obeaver.text.hold_back import Patterns
from obeaver.text.text_stream import TextStream
from obeaver.text.tokenizer import TokenDecoder

_TAIL: Final = 8
"""Tokens of the prompt that a decoder has to have seen: more than a character can be cut into."""


@dataclass(frozen=True, slots=True)
class CompletionJob:
    """A request that can be generated, and the model that it began with."""

    model: LoadedModel
    asked: CompletionRequest
    prompts: list[TextPrompt]

    def prompt_of(self, choice: int) -> TextPrompt:
        """The prompt of the choice with this index: the choices of the first one come first."""
        return self.prompts[choice // self.asked.sampling.n]


def prepare_completion(model: LoadedModel, asked: CompletionRequest) -> CompletionJob:
    """Tokenise. May take a while for long prompts; touches nothing of the event loop's.

    Raises:
        BadRequest: An id is none of the model's, a text has no tokens, or the request passes a limit.
        ContextLengthExceeded: A text can never fit.
    """
    model.worker.refuse_when_full()
    check_sampling(model.limits, asked.sampling, len(asked.prompts))
    return CompletionJob(model, asked, [text_prompt(model, given) for given in asked.prompts])


def start_completion(job: CompletionJob) -> Generation:
    """Hand a job to the engine.

    Raises:
        ApiError: The request cannot be honoured, or the engine does not take it.
    """
    model = job.model
    end_ids = frozenset(model.facts.eos_ids)
    work = [(prompt.token_ids, _params(job, prompt)) for prompt in job.prompts]
    model.limits.check_logprobs(sum(num_logprobs(len(ids), item) for ids, params in work for item in params))
    stop = Patterns(job.asked.sampling.stop)
    stop_ids = model.tokenizer.stop_tokens(job.asked.sampling.stop)
    texts = [
        TextStream(_decoder(model, token_ids), stop=stop, stop_tokens=stop_ids, end_ids=end_ids)
        for token_ids, params in work
        for _ in params
    ]
    generation = Generation(
        model.worker,
        texts,
        lambda: ContentLogprobs(model.tokenizer.token_bytes, end_ids),
        unsent_bytes=model.limits.unsent_kb * KB,
    )
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
    model = job.model
    return sampling_params(
        job.asked.sampling,
        room=model.worker.room_for(len(prompt.token_ids)),
        vocab_size=model.facts.vocab_size,
        end_ids=model.facts.eos_ids,
    )


def _decoder(model: LoadedModel, token_ids: Sequence[int]) -> TokenDecoder:
    """A decoder that has read the prompt: the space at the beginning of what follows is the text's own."""
    decoder = model.tokenizer.decoder()
    for token_id in token_ids[-_TAIL:]:
        decoder.push(token_id)
    return decoder
