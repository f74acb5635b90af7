"""A chat over a scripted model: turns, stops, overflow, failure."""

import itertools
import signal
import threading

import pytest
from support.scripted_model import CONTEXT_LENGTH, TEMPLATE, Reply, ids_of, says
from support.terminal_chat import Screen, StartTalk, Typed

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.conversation import AssistantMessage, text_parts
from obeaver.cli.chat.turn import Answered, Turn
from obeaver.cli.terminal import Terminal
from obeaver.errors import CommandError

PICKY_TEMPLATE = "{% if 'bad' in messages[-1].content %}{{ raise_exception('no such talk') }}{% endif %}" + TEMPLATE

THINKING_TEMPLATE = TEMPLATE + "{# <think> </think> #}"


def in_turn(*answers: str) -> Reply:
    """Another answer each time."""
    given = itertools.cycle(answers)
    return lambda _prompt: ids_of(next(given))


class Interrupting(Screen):
    """A screen whose reader presses Ctrl-C when a text appears.

    Args:
        text: What they wait for.
        num_presses: How often.
    """

    def __init__(self, text: str, num_presses: int = 1) -> None:
        super().__init__()
        self._text, self._num_presses = text, num_presses
        self.pressed = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._text in self.getvalue() and not self.pressed.is_set():
            try:
                for _ in range(self._num_presses):
                    signal.raise_signal(signal.SIGINT)
            finally:
                self.pressed.set()
        return written


def test_an_answer_appears_and_is_remembered(start_talk: StartTalk) -> None:
    talk = start_talk(in_turn("Hello", "Fine"))
    talk.type("Hi", "How are you?")
    assert talk.out.getvalue() == "Hello\nFine\n"
    assert talk.said == [("user", "Hi"), ("assistant", "Hello"), ("user", "How are you?"), ("assistant", "Fine")]
    assert talk.prompts[1].startswith(talk.prompts[0] + "Hello<|im_end|>\n")


def test_the_system_prompt_goes_first_and_a_reset_keeps_it(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    talk.type("One", "/system Be brief.", "Two", "/reset", "Three")
    assert "system" not in talk.prompts[0]
    assert talk.prompts[1].startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne")
    assert talk.prompts[2].startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nThree")


def test_several_lines_are_one_message_and_the_prompt_shows_that_it_goes_on(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    typed = talk.type("one\\", "two", '"""', "three", '"""')
    assert [text for role, text in talk.said if role == "user"] == ["one\ntwo", "three"]
    assert typed.prompts == [">>> ", "... ", ">>> ", "... ", "... ", ">>> "]


def test_exit_ends_the_chat_at_once(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    assert talk.type("/exit", "Hi").prompts == [">>> "]


def test_a_command_that_cannot_be_done_is_told_and_the_chat_goes_on(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    talk.type("/fly", "Hi")
    assert "error: there is no command /fly" in talk.err.getvalue()
    assert talk.out.getvalue() == "Yes\n"


def test_ctrl_c_twice_at_the_prompt_ends_the_chat_and_once_does_not(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    typed = talk.type(KeyboardInterrupt, "Hi", KeyboardInterrupt, KeyboardInterrupt, "never typed")
    assert len(typed.prompts) == 4
    assert talk.out.getvalue() == "Yes\n"
    assert talk.err.getvalue().count("Ctrl-C again, Ctrl-D or /exit ends the chat") == 2


def test_ctrl_c_drops_a_message_that_is_not_whole(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    talk.type("dropped\\", KeyboardInterrupt, "kept")
    assert talk.said[0] == ("user", "kept")


def test_ctrl_d_sends_a_message_that_is_not_whole_and_then_ends_the_chat(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    typed = talk.type('"""one', "two")
    assert talk.said[0] == ("user", "one\ntwo")
    assert typed.prompts == [">>> ", "... ", "... ", ">>> "]


@pytest.mark.parametrize("num_presses", [1, 2])
def test_ctrl_c_stops_an_answer_and_the_chat_goes_on_with_what_was_said(
    start_talk: StartTalk, num_presses: int
) -> None:
    screen = Interrupting("aaa", num_presses)

    def waits_at_run_10(num_runs: int) -> bool:
        return num_runs == 10 and not screen.pressed.wait(60)

    endless = "a" * 1000
    talk = start_talk(in_turn(endless, "Next"), out=screen, fails=waits_at_run_10)
    before = signal.getsignal(signal.SIGINT)
    talk.type("Tell", "And then?")
    answer = talk.said[1][1]
    assert 3 <= len(answer) < len(endless)
    assert talk.out.getvalue() == f"{answer}\nNext\n"
    assert "(stopped)" in talk.err.getvalue()
    assert talk.said[2:] == [("user", "And then?"), ("assistant", "Next")]
    assert talk.model.worker.snapshot().num_running == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_an_answer_that_does_not_stop_takes_the_program_with_it_at_the_third_ctrl_c(start_talk: StartTalk) -> None:
    screen = Interrupting("a", num_presses=3)
    talk = start_talk(says("a" * 1000), out=screen)
    with pytest.raises(KeyboardInterrupt):
        talk.chat.converse(Typed("Tell"))


def test_a_question_stopped_in_a_pipe_is_an_interrupted_program(start_talk: StartTalk) -> None:
    screen = Interrupting("aaa")
    talk = start_talk(
        says("a" * 1000), out=screen, fails=lambda num_runs: num_runs == 10 and not screen.pressed.wait(60)
    )
    with pytest.raises(KeyboardInterrupt):
        talk.chat.ask_once("Tell")
    assert talk.out.getvalue().endswith("aaa\n")


def test_a_message_that_does_not_fit_is_refused_with_advice_and_the_conversation_kept(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    talk.type("One", "x" * CONTEXT_LENGTH, "Two")
    told = talk.err.getvalue()
    assert f"maximum context length is {CONTEXT_LENGTH}" in told
    assert "ask with less text, or /save it and /reset" in told
    assert [text for _, text in talk.said] == ["One", "Yes", "Two", "Yes"]


def test_an_answer_that_fills_the_context_says_what_to_do(start_talk: StartTalk) -> None:
    talk = start_talk(says("a" * CONTEXT_LENGTH))
    talk.type("x" * (CONTEXT_LENGTH - 100))
    assert "(the answer was cut: the model's context is full; /reset begins a new" in talk.err.getvalue()
    assert talk.said[1][1].startswith("aaa")


def test_an_answer_at_its_limit_says_which(start_talk: StartTalk) -> None:
    talk = start_talk(says("a" * 100), sampling={"max_tokens": 5})
    talk.type("Hi")
    assert talk.out.getvalue() == "aaaaa\n"
    assert "(the answer was cut at its limit: --max-tokens allows more)" in talk.err.getvalue()


def test_one_question_that_does_not_fit_is_a_command_that_fails(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    with pytest.raises(CommandError, match="Ask with less text, or a model with a longer context"):
        talk.chat.ask_once("x" * CONTEXT_LENGTH)


def test_one_answer_at_its_limit_is_told_beside_it(start_talk: StartTalk) -> None:
    talk = start_talk(says("a" * 100), sampling={"max_tokens": 5})
    talk.chat.ask_once("Hi")
    assert talk.out.getvalue() == "aaaaa\n"
    assert talk.err.getvalue() == "obeaver: the answer was cut at its limit: --max-tokens allows more\n"


def test_a_message_that_the_template_rejects_is_told_and_taken_back(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"), template=PICKY_TEMPLATE)
    talk.type("bad", "good")
    assert "no such talk" in talk.err.getvalue()
    assert talk.said == [("user", "good"), ("assistant", "Yes")]


def test_one_question_that_the_template_rejects_is_a_command_that_fails(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"), template=PICKY_TEMPLATE)
    with pytest.raises(CommandError, match="no such talk"):
        talk.chat.ask_once("bad")


def test_an_answer_that_fails_midway_is_told_and_the_next_one_works(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"), fails=lambda num_runs: num_runs == 2)
    talk.type("One", "Two")
    assert "error: " in talk.err.getvalue()
    assert talk.said == [("user", "Two"), ("assistant", "Yes")]


def test_an_engine_that_is_gone_ends_the_chat(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    talk.runner.run(talk.model.worker.close())
    with pytest.raises(CommandError, match="The engine is closed"):
        talk.type("Hi")


def test_thoughts_stand_beside_the_answer_and_are_kept_as_such(start_talk: StartTalk) -> None:
    talk = start_talk(says("<think>hm</think>Yes"), template=THINKING_TEMPLATE)
    talk.type("Hi")
    assert talk.out.getvalue() == "Yes\n"
    assert "[thinking]\nhm\n\n" in talk.err.getvalue()
    assert talk.transcript.messages[1] == AssistantMessage(text_parts("Yes"), "hm")


def test_an_answer_stopped_while_the_model_thinks_takes_the_message_back(start_talk: StartTalk) -> None:
    screen = Interrupting("aaa")
    talk = start_talk(
        says("<think>" + "a" * 1000),
        err=screen,
        template=THINKING_TEMPLATE,
        fails=lambda num_runs: num_runs == 10 and not screen.pressed.wait(60),
    )
    talk.type("Hi")
    assert "(stopped: the message is taken back)" in talk.err.getvalue()
    assert talk.said == []


def test_a_turn_that_is_stopped_before_it_began_asks_nothing(start_talk: StartTalk) -> None:
    talk = start_talk(says("Yes"))
    request = parse_chat_request({"messages": [{"role": "user", "content": "Hi"}]})
    turn = Turn(talk.model, request.conversation, request.sampling, Terminal(talk.out, talk.err, {}), float)
    turn.stop()
    assert talk.runner.run(turn.run()) == Answered(stopped=True)
    assert talk.prompts == []


def test_timings_are_told_after_each_answer(start_talk: StartTalk) -> None:
    screen = Interrupting("H", num_presses=0)
    talk = start_talk(
        says("Hello"), out=screen, fails=lambda num_runs: num_runs == 1 and not screen.pressed.wait(60), timings=True
    )
    talk.type("Hi")
    # The clock ticks once a look: at the question, at the first text (one token), at the end (five more).
    expected = f"[first text after 1.00 s, 5.0 tokens/s, prompt {len(ids_of(talk.prompts[0]))} tokens (0 cached), "
    assert expected + "answer 6 tokens]\n" in talk.err.getvalue()


def test_timings_of_an_answer_without_text_say_so(start_talk: StartTalk) -> None:
    talk = start_talk(says(""), timings=True)
    talk.type("Hi")
    assert "[no text, prompt " in talk.err.getvalue()
    assert talk.said == [("user", "Hi"), ("assistant", "")]
