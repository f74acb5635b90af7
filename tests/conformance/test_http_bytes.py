"""Responses as bytes: framing, and what an ordinary client would not see."""

import pytest

from conformance.http_bytes import NoAnswer, Request, read_response, send


def message(headers: str, body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body


def test_a_length_that_is_right_is_no_problem() -> None:
    response = read_response(message("Content-Length: 2\r\nX-A:  b ", b"hi"))
    assert (response.status, response.body, response.problems) == (200, b"hi", ())
    assert response.header("x-a") == "b"


@pytest.mark.parametrize("length", ["1", "3", "x"])
def test_a_length_that_is_wrong_is_named(length: str) -> None:
    response = read_response(message(f"Content-Length: {length}", b"hi"))
    assert response.problems == (f"Content-Length is {length} and the body has 2 bytes",)


def test_chunks_are_joined() -> None:
    response = read_response(message("Transfer-Encoding: chunked", b"2\r\nhi\r\n3;x=y\r\n me\r\n0\r\n\r\n"))
    assert (response.body, response.problems) == (b"hi me", ())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"2\r\nhi\r\n", "a chunk begins with b'' instead of its length"),
        (b"9\r\nhi", "the connection closed inside a chunk"),
        (b"2\r\nhi\r\n0\r\n\r\nmore", "bytes follow the last chunk"),
    ],
)
def test_broken_chunks_are_named(body: bytes, problem: str) -> None:
    response = read_response(message("Transfer-Encoding: chunked", body))
    assert response.body == b"hi"
    assert any(text.startswith(problem) for text in response.problems)


def test_bytes_after_a_response_without_a_body_are_named() -> None:
    assert read_response(message("X: y", b"", "204 No Content")).problems == ()
    assert read_response(message("X: y", b"hi", "204 No Content")).problems != ()


@pytest.mark.parametrize("received", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_what_is_no_response_is_refused(received: bytes) -> None:
    with pytest.raises(NoAnswer):
        read_response(received)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "https://127.0.0.1/v1", "127.0.0.1"])
def test_a_server_that_cannot_be_asked_is_named(url: str) -> None:
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1"):
        send(url, Request("GET", "/models"))
