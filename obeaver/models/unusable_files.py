"""What to say of a file that is no model: what it is, and what would help."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_GGUF_OF_IT: Final = "look for a GGUF file of the model"
# By how files begin. The older formats of llama.cpp are little-endian: `ggml` stands as `lmgg`.
_BEGINNINGS: Final[Mapping[bytes, str]] = {
    b"lmgg": f"is of the GGML format, which llama.cpp gave up for GGUF: {_GGUF_OF_IT}",
    b"fmgg": f"is of the GGML format, which llama.cpp gave up for GGUF: {_GGUF_OF_IT}",
    b"tjgg": f"is of the GGJT format, which llama.cpp gave up for GGUF: {_GGUF_OF_IT}",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file itself: run `git lfs pull` in its folder",
    b"<!doctype html": "is a web page: the download brought an answer for a browser instead of the file",
    b"<html": "is a web page: the download brought an answer for a browser instead of the file",
    b"FUGG": "is a GGUF file of a machine with the other byte order: fetch the usual one",
    b"\x1f\x8b": "is packed with gzip: unpack it and give what is in it",
    b"(\xb5/\xfd": "is packed with zstd: unpack it and give what is in it",
    b"\xfd7zXZ": "is packed with xz: unpack it and give what is in it",
    b"7z\xbc\xaf": "is packed with 7-Zip: unpack it and give what is in it",
}
_ENDINGS: Final[Mapping[str, str]] = {
    ".safetensors": "has weights as they were trained: give its folder, or run `obeaver convert` with that",
    ".onnx": "is a graph alone: give its folder, with its configuration and tokenizer",
    ".data": "has the weights of a graph: give its folder",
    ".onnx_data": "has the weights of a graph: give its folder",
    ".json": "is a configuration: give its folder",
    ".jinja": "is a chat template: give the model's folder",
    ".model": "is a tokenizer: give the model's folder",
    ".part": "is an unfinished download: let it end, or fetch it again",
    ".crdownload": "is an unfinished download: let it end, or fetch it again",
    ".incomplete": "is an unfinished download: let it end, or fetch it again",
    **dict.fromkeys(
        (".bin", ".pt", ".pth", ".ckpt"),
        "has weights that PyTorch wrote, which may run code when they are read: look for safetensors or a GGUF file",
    ),
    **dict.fromkeys((".mlmodel", ".mlpackage"), f"is for Core ML: {_GGUF_OF_IT}"),
    ".tflite": f"is for TensorFlow Lite: {_GGUF_OF_IT}",
    ".task": f"is for MediaPipe: {_GGUF_OF_IT}",
    ".npz": f"is an archive of numpy's: {_GGUF_OF_IT}",
    ".llamafile": "is a program with a model in it: look for the GGUF file that it was made of",
    ".tar": "is an archive: unpack it and give what is in it",
    ".zip": "is an archive: unpack it and give what is in it",
}


def advice_on(path: Path, beginning: bytes) -> str:
    """One line on a file that does not begin as GGUF.

    Args:
        path: The file.
        beginning: Its first bytes.
    """
    if not beginning:
        return f"{path} is empty: fetch it again"
    start = beginning.lstrip()[:64].lower()
    for mark, told in _BEGINNINGS.items():
        if beginning.startswith(mark) or start.startswith(mark.lower()):
            return f"{path} {told}"
    told = _ENDINGS.get(path.suffix.lower(), "is not a GGUF file: obeaver takes GGUF files and model folders")
    return f"{path} {told}"
