"""The limits of requests, held against what a parser made of one; `contract/limits.py` has the limits."""

from typing import Any

from obeaver.api.contract.limits import RequestLimits
from obeaver.api.core.answer_form import AnswerForm, ChoiceForm, GrammarForm, JsonForm, RegexForm
from obeaver.api.core.conversation import Conversation
from obeaver.api.core.sampling import Sampling
from obeaver.engine.sampling.sampling_params import SamplingParams


def check_conversation(limits: RequestLimits, conversation: Conversation) -> None:
    """Refuse what would take too long to render, tokenise and compile.

    Raises:
        BadRequest: Names the part that is too large.
    """
    form = conversation.form
    limits.check_messages(len(conversation.messages), conversation.at)
    tools = [(tool.name, tool.description, tool.parameters) for tool in conversation.tools.offered]
    limits.check_schemas(tools, _contents(form), "" if form is None else form.at)


def check_sampling(limits: RequestLimits, sampling: Sampling, num_prompts: int = 1) -> None:
    """Refuse what would take too much to generate.

    Args:
        limits: What there may be.
        sampling: How to generate.
        num_prompts: Each is answered `n` times.

    Raises:
        BadRequest: Names the parameter at fault.
    """
    limits.check_stop(sampling.stop)
    limits.check_choices(sampling.n * num_prompts)


def num_logprobs(num_prompt: int, params: SamplingParams) -> int:
    """Log-probabilities that one answer can have at most, those of its prompt among them."""
    of_answer = 0 if params.num_logprobs is None else (1 + params.num_logprobs) * params.max_tokens
    of_prompt = 0 if params.num_prompt_logprobs is None else (1 + params.num_prompt_logprobs) * num_prompt
    return of_answer + of_prompt


def _contents(form: AnswerForm | None) -> Any:
    match form:
        case JsonForm(schema):
            return schema
        case GrammarForm(text):
            return text
        case RegexForm(pattern):
            return pattern
        case ChoiceForm(texts):
            return texts
        case None:
            return None
