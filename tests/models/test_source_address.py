import pytest

from obeaver.errors import ModelError
from obeaver.models.sources.address import HubAddress, UrlAddress, is_address, parse_address

SHA = "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf:org/repo", HubAddress("org/repo")),
        ("HF:org/Repo", HubAddress("org/Repo")),
        ("hf://org/repo", HubAddress("org/repo")),
        ("hf:gpt2", HubAddress("gpt2")),
        ("hf:org/repo@v1.0", HubAddress("org/repo", "v1.0")),
        (f"hf:org/repo@{COMMIT}:cpu/int4", HubAddress("org/repo", COMMIT, "cpu/int4")),
        ("hf:org/repo@refs/pr/1:a.gguf", HubAddress("org/repo", "refs/pr/1", "a.gguf")),
        ("hf:org/repo:/cpu/int4/", HubAddress("org/repo", None, "cpu/int4")),
        ("hf:org/repo:*Q4_K_M.gguf", HubAddress("org/repo", None, "*Q4_K_M.gguf")),
        ("https://huggingface.co/org/repo", HubAddress("org/repo")),
        ("https://hf.co/org/repo/", HubAddress("org/repo")),
        ("https://huggingface.co/org/repo/tree/main", HubAddress("org/repo")),
        ("https://huggingface.co/org/repo/tree/v1/cpu/int4", HubAddress("org/repo", "v1", "cpu/int4")),
        ("https://huggingface.co/org/repo/blob/main/a%20b.gguf", HubAddress("org/repo", None, "a b.gguf")),
        (
            "https://huggingface.co/org/repo/resolve/main/a.gguf?download=true",
            HubAddress("org/repo", None, "a.gguf"),
        ),
        ("https://example.org/m/a.gguf", UrlAddress("https://example.org/m/a.gguf")),
        (f"https://example.org/a.gguf?x=1#sha256={SHA.upper()}", UrlAddress("https://example.org/a.gguf?x=1", SHA)),
        (f"http://example.org/a.gguf#sha256:{SHA}", UrlAddress("http://example.org/a.gguf", SHA)),
        ("http://127.0.0.1:8000/a.gguf", UrlAddress("http://127.0.0.1:8000/a.gguf")),
    ],
)
def test_an_address_is_understood(text: str, address: HubAddress | UrlAddress) -> None:
    assert is_address(text)
    assert parse_address(text) == address
    assert parse_address(str(address)) == address, "it can be written again"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:", "is no address of the hub"),
        ("hf:a/b/c", "is no address of the hub"),
        ("hf:../b", "is no address of the hub"),
        ("hf:org/repo@", "is no address of the hub"),
        ("hf:org/re po", "is no address of the hub"),
        ("https://huggingface.co/", "is no page of a model"),
        ("https://huggingface.co/datasets/org/x", "is no page of a model"),
        ("https://huggingface.co/org/repo/discussions", "is no page of a model's files"),
        ("https:///a.gguf", "it has no host"),
        ("https://example.org/a.gguf#sha256=abc", "after # only sha256=HASH can stand"),
        ("http://example.org/a.gguf", "is not encrypted: add #sha256=HASH, or use https"),
    ],
)
def test_what_is_no_address_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        parse_address(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["smollm2-135m", "./hf:x", "model.gguf", "C:\\models\\a", ""])
def test_names_and_paths_are_no_addresses(text: str) -> None:
    assert not is_address(text)


def test_the_file_name_of_a_url_is_readable() -> None:
    assert UrlAddress("https://example.org/m/My%20Model.gguf?x=/y").file_name == "My Model.gguf"
