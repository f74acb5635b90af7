"""`obeaver embed` over a small random model: words, lines, a file, a person who types."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_encoder import HIDDEN, bert_config, bert_weights, write_sentence_transformer

from obeaver.cli import main
from obeaver.cli.embed import described
from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress


@pytest.fixture
def model(tmp_path: Path) -> str:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    (tmp_path / "model").mkdir()
    import_encoder(source, tmp_path / "model", weights="fp32", name="tiny", progress=SilentProgress())
    return str(tmp_path / "model")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBEAVER_HOME", str(tmp_path / "home"))


class Terminal(io.StringIO):
    """Lines that a person types."""

    def isatty(self) -> bool:
        return True


def test_each_text_gives_a_line_of_numbers(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", model, "w1 w2", "w3"]) == 0
    vectors = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(vector) for vector in vectors] == [HIDDEN, HIDDEN]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_json_is_what_the_server_answers(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", model, "--json", "--dimensions", "4", "w1 w2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert len(answer["data"][0]["embedding"]) == 4


def test_lines_of_standard_input_become_an_array(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"w1\nw2 w3\n")))
    assert main(["embed", model, "--npy", str(tmp_path / "vectors.npy")]) == 0
    array = np.load(tmp_path / "vectors.npy")
    assert (array.shape, array.dtype) == ((2, HIDDEN), np.float32)
    assert capsys.readouterr().out == ""


def test_a_person_sees_each_vector_and_how_near_it_is_to_the_one_before(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("w1 w2\n\nw1 w2\n" + "w1 " * 40 + "\n"))
    assert main(["embed", model]) == 0
    told = capsys.readouterr()
    assert f"{HIDDEN} dimensions:" in told.out
    assert "cosine to the text before: 1.0000" in told.out
    assert "`input[0]` has 42" in told.err


@pytest.mark.parametrize(
    ("words", "lines", "message"),
    [
        (["w1 " * 40], "", "`input[0]` has 42"),
        (["w1", "--dimensions", "33"], "", "`dimensions` must be at most 32"),
        (["w1", "--npy", "/nowhere/at/all.npy"], "", "cannot be written"),
        ([], "w1\n\nw2\n", "line 2 of standard input is empty"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    model: str,
    words: list[str],
    lines: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert main(["embed", model, *words]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"w1\ncaf\xe9\n", "standard input is not UTF-8 text: line 2 holds the byte 0xe9"),
        ("w1\nw2\n".encode("utf-16"), "standard input is UTF-16, not UTF-8 text: save it as UTF-8"),
        ("w1\nw2\n".encode("utf-16-le"), "standard input is UTF-16, not UTF-8 text: save it as UTF-8"),
        ("w1\nw2\n".encode("utf-16-be"), "standard input is UTF-16, not UTF-8 text: save it as UTF-8"),
        (b"w1\nw2 and some more\0 words\n", "standard input is not UTF-8 text: line 2 holds a NUL byte"),
    ],
)
@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_lines_that_are_no_text_are_refused(
    model: str,
    raw: bytes,
    message: str,
    json_flag: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert main(["embed", model, *json_flag]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"obeaver: {message}\n"
    assert captured.out == ""


def test_words_that_are_no_text_are_refused(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", model, "w1", "caf\udce9"]) == 1
    assert capsys.readouterr().err == "obeaver: a text is not UTF-8 text: line 1 holds the byte 0xe9\n"


def test_a_byte_order_mark_is_no_part_of_the_first_line(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = []
    for raw in (b"w1\n", b"\xef\xbb\xbfw1\n"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert main(["embed", model]) == 0
        vectors.append(capsys.readouterr().out)
    assert vectors[0] == vectors[1]


def test_the_first_vector_is_told_without_a_cosine() -> None:
    assert "cosine" not in described([0.6, 0.8], None)
    assert described([0.6, 0.8], [0.8, 0.6]).endswith("0.9600")
