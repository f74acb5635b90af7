"""A request for completions from the body's JSON value: schema first, then what binds parameters to each other."""

from dataclasses import dataclass
from typing import Final

from obeaver.api.contract.validation import parse
from obeaver.api.core.sampling import Sampling, sampling_of
from obeaver.api.core.text_prompts import GivenPrompt, given_prompts
from obeaver.api.openai.generation import check_generation, includes_usage
from obeaver.errors import BadRequest

MAX_CHOICES: Final = 128
"""Answers to one request: what a chat request's `n` may be."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request that holds to every rule that does not depend on a model.

    Attributes:
        model: The model that it asks for; "" for none.
        prompts: The texts to go on with, `sampling.n` times each.
        sampling: How; its `max_tokens` is 0 where only the echo is wanted.
        echo: Whether an answer begins with its prompt.
        stream: Whether the answer comes as a stream.
        include_usage: Whether the stream ends with the usage.
        timings: Whether the answer tells what it took.
    """

    model: str
    prompts: tuple[GivenPrompt, ...]
    sampling: Sampling
    echo: bool
    stream: bool
    include_usage: bool
    timings: bool
    takes_compiling: bool = False

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities are wanted."""
        return self.sampling.num_logprobs is not None


def parse_completion(body: object) -> CompletionRequest:
    """The request.

    Raises:
        BadRequest: Names the first parameter at fault.
    """
    request = parse("completion", body)
    limit, echo, num_logprobs = request["max_tokens"], request["echo"], request["logprobs"]
    check_generation(request, limit)
    if request["best_of"] not in (None, 1, request["n"]):
        raise _refusal("`best_of` must be 1 or the same as `n`: answers are not compared.", "best_of")
    if limit == 0 and not echo:
        raise _refusal("`max_tokens` must be at least 1 without `echo`.", "max_tokens")
    prompts = given_prompts(request["prompt"])
    if len(prompts) * request["n"] > MAX_CHOICES:
        raise _refusal(f"`prompt` must not ask for more than {MAX_CHOICES} answers, `n` for each text.", "prompt")
    sampling = sampling_of(
        request,
        max_tokens=limit,
        num_logprobs=num_logprobs,
        num_prompt_logprobs=num_logprobs if echo else None,
    )
    stream, timings = request["stream"], request["timings_per_token"]
    return CompletionRequest(request["model"], prompts, sampling, echo, stream, includes_usage(request), timings)


def _refusal(message: str, param: str) -> BadRequest:
    return BadRequest(message, param=param, code="invalid_value")
