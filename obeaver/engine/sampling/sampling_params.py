"""How a sequence's tokens are to be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen. Field defaults are neutral (nothing is filtered); the API's schema owns its own defaults.

    Attributes:
        max_tokens: Tokens to generate at most, at least 1.
        min_tokens: End-of-text ids are forbidden before this many tokens.
        temperature: 0 is greedy.
        top_k: Keep the k most likely; 0 is off.
        top_p: Keep the smallest set whose probability reaches p; 1 is off.
        min_p: Keep tokens with at least this share of the likeliest token's probability; 0 is off.
        repetition_penalty: Divides positive and multiplies negative logits of ids in prompt and answer (CTRL, Keskar et
            al. 2019, section 4.1); 1 is off.
        presence_penalty: Subtracted once from the logit of each id in the answer; 0 is off.
        frequency_penalty: Subtracted from the logit of each id in the answer, each time it stands there; 0 is off.
        logit_bias: Token id to a number added to its logit.
        seed: Makes the random stream reproducible; None draws one.
        num_logprobs: None for no log-probabilities; else how many alternatives to report beside the chosen token's own.
        num_prompt_logprobs: The same for the prompt's tokens. The whole prompt is computed then: what is cached has no
            logits.
        stop_token_ids: Ids that end the sequence. The ending id is part of the output; the text layer drops it.
        grammar: Text of a grammar for the engine's grammar compiler, or None for free text.
    """

    max_tokens: int
    min_tokens: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    num_logprobs: int | None = None
    num_prompt_logprobs: int | None = None
    stop_token_ids: frozenset[int] = frozenset()
    grammar: str | None = None
