"""How needs are found, and how they are met.

A template that knows less than the API raises, or leaves out part of a conversation. Nothing tells in advance which:
not the family's name, and not the words of the source. So it is tried, when it is loaded, on conversations with words
that a prompt has to hold. A need is what makes it show them.

Needs are sought until no more are found, since one probe may pass only when another need is met. They are met in the
order of their table: first what is said at all, then who says it, then its form.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from obeaver.text.needs import probes, retelling, tool_prompt
from obeaver.text.needs.need import Need, Probe, Retell, Telling, Wording
from obeaver.text.needs.retelling import Messages
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS


def _tools_in_words(telling: Telling, wording: Wording) -> Telling:
    instruction = tool_prompt.instruction(
        tool_prompt.specs(telling.tools),
        telling.choice,
        wording.call_format,
        parallel=telling.parallel,
        told_results=wording.results,
    )
    return replace(telling, messages=tool_prompt.with_system(telling.messages, instruction), tools=())


def _calls_in_words(telling: Telling, wording: Wording) -> Telling:
    return replace(telling, messages=tool_prompt.tell_calls(telling.messages, wording.call_format))


def _whole_tools(telling: Telling, _wording: Wording) -> Telling:
    return replace(telling, tools=[tool_prompt.whole(tool) for tool in telling.tools])


def _messages(change: Callable[[Messages], Messages]) -> Retell:
    return lambda telling, _wording: replace(telling, messages=change(telling.messages))


_THOUGHTS: Final = (probes.THOUGHT_AND_CALL, probes.THOUGHT)

_MET_BY: Final[Mapping[Need, Retell]] = MappingProxyType(
    {
        Need.TOOLS_IN_WORDS: _tools_in_words,
        Need.CALLS_IN_WORDS: _calls_in_words,
        Need.RESULTS_IN_WORDS: _messages(tool_prompt.tell_results),
        Need.WHOLE_TOOLS: _whole_tools,
        Need.ONE_CALL: _messages(retelling.one_call_a_turn),
        Need.WORDS_APART: _messages(retelling.words_before_calls),
        Need.WORDS_AS_THOUGHT: _messages(retelling.words_as_thought),
        Need.SHORT_CALL_IDS: _messages(retelling.short_call_ids),
        Need.TELLING_CALL_IDS: _messages(retelling.telling_call_ids),
        Need.RESULTS_IN_CALL: _messages(retelling.results_within_calls),
        Need.ARGUMENT_OBJECTS: _messages(retelling.arguments_as_objects),
        Need.ARGUMENT_TEXT: _messages(retelling.arguments_as_text),
        Need.REASONING: _messages(retelling.reasoning_named("reasoning")),
        Need.THINKING: _messages(retelling.reasoning_named("thinking")),
        Need.THINKING_PART: _messages(retelling.reasoning_as_part),
        Need.ONE_SYSTEM: _messages(retelling.one_system_message),
        Need.NO_SYSTEM: _messages(retelling.system_within_user),
        Need.NO_SYSTEM_IN_LOOP: _messages(retelling.system_within_user_of_loop),
        Need.NO_LATER_SYSTEM: _messages(retelling.later_system_as_user),
        Need.SOME_USER: _messages(retelling.system_as_user),
        Need.ANSWERED_RESULTS: _messages(retelling.answered_results),
        Need.TURNS: _messages(retelling.taking_turns),
        Need.PARTS: _messages(retelling.content_as_parts),
        Need.EMPTY_TOOLS: lambda telling, _wording: telling if telling.tools else replace(telling, no_tools=[]),
    }
)

# A template has a need if it shows none of a row's probes, and one of them when the need is met.
_SIGNS: Final = (
    (Need.TOOLS_IN_WORDS, (probes.TOOLS,)),
    (Need.CALLS_IN_WORDS, (probes.OBJECT_ARGUMENTS, probes.TEXT_ARGUMENTS)),
    (Need.RESULTS_IN_WORDS, (probes.RESULT,)),
    (Need.WHOLE_TOOLS, (probes.BARE_TOOLS,)),
    (Need.ONE_CALL, (probes.TWO_CALLS,)),
    (Need.WORDS_APART, (probes.WORDS_AND_CALL,)),
    (Need.WORDS_AS_THOUGHT, (probes.THOUGHT_WORDS_AND_CALL,)),
    (Need.SHORT_CALL_IDS, (probes.LONG_ID,)),
    (Need.TELLING_CALL_IDS, (probes.NAME,)),
    (Need.RESULTS_IN_CALL, (probes.RESULT_IN_CALL,)),
    (Need.ARGUMENT_OBJECTS, (probes.BROKEN_ARGUMENTS,)),
    (Need.ARGUMENT_TEXT, (probes.OBJECT_ARGUMENTS,)),
    (Need.REASONING, _THOUGHTS),
    (Need.THINKING, _THOUGHTS),
    (Need.THINKING_PART, _THOUGHTS),
    (Need.ONE_SYSTEM, (probes.TWO_SYSTEM,)),
    (Need.NO_SYSTEM, (probes.SYSTEM,)),
    (Need.NO_SYSTEM_IN_LOOP, (probes.SYSTEM_IN_LOOP,)),
    (Need.NO_LATER_SYSTEM, (probes.LATER_SYSTEM,)),
    (Need.SOME_USER, (probes.SYSTEM_ALONE,)),
    (Need.SOME_USER, (probes.SYSTEM_AND_TOOLS,)),
    (Need.ANSWERED_RESULTS, (probes.INTERRUPTED,)),
    (Need.TURNS, (probes.NO_TURNS,)),
    (Need.PARTS, (probes.TEXT,)),
    (Need.EMPTY_TOOLS, (probes.TEXT,)),
)


def find_needs(shows: Callable[[Probe, frozenset[Need]], bool], dialect: str | None) -> frozenset[Need]:
    """The needs of a template.

    Args:
        shows: Whether its prompt of a probe is as it should be, when these needs are met.
        dialect: How the model writes calls, if that is known.
    """
    found: frozenset[Need] = frozenset()
    while True:
        before = found
        for need, tried in _SIGNS:
            if need not in found and _helps(need, tried, found, shows):
                found = _with_consequences(found | {need}, dialect)
        if found == before:
            return found


def _helps(
    need: Need,
    tried: Iterable[Probe],
    found: frozenset[Need],
    shows: Callable[[Probe, frozenset[Need]], bool],
) -> bool:
    if any(shows(probe, found) for probe in tried):
        return False
    return any(shows(probe, found | {need}) for probe in tried)


def _with_consequences(needs: frozenset[Need], dialect: str | None) -> frozenset[Need]:
    """What is told in words is told so all through, lest a model be asked for one form and shown another."""
    in_words = Need.TOOLS_IN_WORDS in needs and (dialect is None or Need.CALLS_IN_WORDS in needs)
    return needs | {Need.CALLS_IN_WORDS, Need.RESULTS_IN_WORDS} if in_words else needs


def retold(telling: Telling, needs: frozenset[Need], dialect: str | None) -> Telling:
    """The conversation as a template with these needs gets it.

    Args:
        telling: The conversation.
        needs: Of the template.
        dialect: How calls are written in words; in the default dialect if not given.
    """
    wording = Wording(DIALECTS[dialect or DEFAULT_DIALECT].format, Need.RESULTS_IN_WORDS in needs)
    for need, retell in _MET_BY.items():
        if need in needs:
            telling = retell(telling, wording)
    return telling
