"""`truncation: "auto"`: a conversation that is too long loses its oldest items until it fits.

A conversation is cut where a user speaks: whole turns go, the oldest first. When all turns but the last have gone, the
oldest calls of that one go, with what they gave. What a user says last stays, and what the last calls gave; system and
developer messages stay wherever they stand.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from obeaver.api.core.job import Job, prepare
from obeaver.api.core.prompt import Prompt, make_prompt
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.responses.request import ResponsesRequest
from obeaver.archive.stored_response import StoredItem

ANSWER_SHARE: Final = 4
"""The answer is to have the room that it asks for, at most a quarter of the context."""


def fitting_job(model: LoadedModel, asked: ResponsesRequest) -> tuple[Job, int]:
    """What can be generated, and how many items were dropped for it; none, unless the request allows it.

    Raises:
        BadRequest: As for `prepare`.
        TemplateFailed: As for `prepare`.
    """
    job = prepare(model, asked.conversation, asked.sampling)
    if not asked.truncates or _fits(job, job.prompt):
        return job, 0
    shorter = shorter_conversations(asked.items)
    if not shorter:
        return job, 0
    prompts: dict[int, Prompt] = {}

    def fits(index: int) -> bool:
        prompts[index] = make_prompt(model, replace(asked, items=shorter[index]).conversation)
        return _fits(job, prompts[index])

    # The shortest one is taken for better or worse: what is still too long is refused by the engine.
    chosen = bisect_left(range(len(shorter) - 1), True, key=fits)
    conversation = replace(asked, items=shorter[chosen]).conversation
    prompt = prompts.get(chosen) or make_prompt(model, conversation)
    return replace(job, conversation=conversation, prompt=prompt), len(asked.items) - len(shorter[chosen])


def shorter_conversations(items: Sequence[StoredItem]) -> list[tuple[StoredItem, ...]]:
    """What may be left of a conversation, the longest first."""
    turns = [index for index, item in enumerate(items) if _role(item) == "user"]
    if not turns:
        return []
    last = turns[-1]
    steps = [index for index in range(last + 1, len(items)) if _begins_step(items, index)]
    shorter = [
        *((*filter(_stays, items[:turn]), *items[turn:]) for turn in turns),
        *(
            (*filter(_stays, items[:last]), items[last], *filter(_stays, items[last + 1 : step]), *items[step:])
            for step in steps
        ),
    ]
    return [conversation for conversation in shorter if len(conversation) < len(items)]


def _fits(job: Job, prompt: Prompt) -> bool:
    wanted = min(job.sampling.max_tokens, job.model.facts.context_length // ANSWER_SHARE)
    room = job.model.worker.room_for(len(prompt.token_ids))
    return room >= max(1, wanted)


def _begins_step(items: Sequence[StoredItem], index: int) -> bool:
    """Whether the assistant goes on here, after it was told what its calls gave."""
    told = [item.document["type"] == "function_call_output" for item in items[index - 1 : index + 1]]
    return told == [True, False]


def _stays(item: StoredItem) -> bool:
    return _role(item) in ("system", "developer")


def _role(item: StoredItem) -> str | None:
    role: str | None = item.document.get("role")
    return role
