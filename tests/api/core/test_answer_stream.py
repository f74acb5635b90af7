"""A generation in a dialect's words: where it begins, where it ends, and where it breaks."""

import pytest
from support.decoders import ByteDecoder
from support.scripted_model import ScriptedRunner, ids_of, says, start_worker

from obeaver.api.core.answer_stream import AnswerStream, StreamWriter
from obeaver.api.core.generation import Generation
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.outputs import Ended, Output, Piece
from obeaver.api.core.usage import Usage
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ApiError, EngineFailed
from obeaver.text.events import ContentDelta
from obeaver.text.text_stream import TextStream


class Quiet(StreamWriter):
    """Says only what comes."""

    def of(self, output: Output) -> bytes:
        if isinstance(output, Ended):
            return f"[{output.finish_reason} {output.stop_string}]".encode()
        assert isinstance(output, Piece)
        assert isinstance(output.event, ContentDelta)
        return output.event.text.encode()

    def end(self, usage: Usage) -> bytes:
        return f"[{usage.prompt}+{usage.completion}]".encode()


class Talkative(Quiet):
    """Has a word for the beginning and for a failure."""

    def begin(self) -> bytes:
        return b"[begin]"

    def failed(self, error: ApiError) -> bytes:
        return b"[failed]"


async def said(writer: StreamWriter, *, fails: bool = False, stop: tuple[str, ...] = ()) -> tuple[str, str]:
    """What a stream said, and the code of the error that it then raised."""
    worker = await start_worker(ScriptedRunner(says("abcdef"), fails=lambda num_runs: fails and num_runs > 2))
    generation = Generation(
        worker, [TextStream(ByteDecoder(), stop=stop)], lambda: ContentLogprobs(lambda token_id: b"", frozenset())
    )
    generation.submit(ids_of("Hi"), [SamplingParams(max_tokens=5, temperature=0)])
    stream, text, code = AnswerStream(generation, writer), b"", ""
    try:
        async for part in stream:
            text += part
    except EngineFailed as error:
        code = str(error.code)
    finally:
        await stream.aclose()
        await worker.close()
    return text.decode(), code


async def test_a_stream_has_the_answer_between_its_beginning_and_the_usage() -> None:
    assert await said(Quiet()) == ("abcde[length None][2+5]", "")
    assert await said(Talkative()) == ("[begin]abcde[length None][2+5]", "")


async def test_the_end_names_the_stop_string_that_made_it() -> None:
    text, _ = await said(Quiet(), stop=("x", "de", "d"))
    assert text.startswith("abc[stop d]")


@pytest.mark.parametrize(("writer", "begin", "end"), [(Quiet(), "", ""), (Talkative(), "[begin]", "[failed]")])
async def test_a_failure_is_told_in_the_dialects_words_and_then_raised(
    writer: StreamWriter, begin: str, end: str
) -> None:
    text, code = await said(writer, fails=True)
    assert (text.startswith(begin), text.endswith(end), code) == (True, True, "engine_failed")
    assert "length" not in text
