"""What the processor's integer multiplication is worth, as far as onnxruntime has to be told.

Products of unsigned by signed bytes are what int8 models multiply. x86 processors with VNNI (or AMX, which none has
without it) add them up in 32 bits. Those without it add pairs in 16 bits, which overflows without a word; onnxruntime
then has a slower way that is right, and has to be asked for it. Asked on a processor with VNNI, it goes the slow way
all the same.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Final

EXACT_BYTE_PRODUCTS: Final = "session.x64quantprecision"
"""The entry of a session's configuration that asks for it, with the value 1."""

_X86: Final = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})
_VNNI: Final = frozenset({"avx512_vnni", "avx_vnni"})
_CPU_INFO: Final = Path("/proc/cpuinfo")
# Of glibc; Python has no name for it.
_SC_LEVEL2_CACHE_SIZE: Final = 191


def byte_products_overflow(machine: str | None = None, cpu_info: Path = _CPU_INFO) -> bool:
    """Whether sums of products of bytes may overflow; so it is said of an x86 processor that cannot be looked up.

    Args:
        machine: The kind of processor, as `platform.machine` names it.
        cpu_info: Where Linux describes it.
    """
    if (machine or platform.machine()).lower() not in _X86:
        return False
    flags = _flags(cpu_info)
    return flags is None or _VNNI.isdisjoint(flags)


def few_bit_rows_vary(machine: str | None = None, cpu_info: Path = _CPU_INFO) -> bool:
    """Whether a row's product with weights of 4 bits depends, in its last bits, on how many rows there are.

    onnxruntime's kernels for processors without VNNI add up one row in another order than several. Seen with 1.32 on a
    processor that has AVX2 and no more; with VNNI they do not.
    """
    return byte_products_overflow(machine, cpu_info)


def description(machine: str | None = None, cpu_info: Path = _CPU_INFO) -> str:
    """The kind of processor, and all it can do as far as Linux says it: kernels are chosen by that.

    Args:
        machine: The kind of processor, as `platform.machine` names it.
        cpu_info: Where Linux describes it.
    """
    flags = " ".join(sorted(_flags(cpu_info) or ()))
    return f"{machine or platform.machine()} {flags}".rstrip()


def _flags(cpu_info: Path) -> list[str] | None:
    """What the first processor can do; None where nothing tells."""
    try:
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return line.partition(":")[2].split()


def level_2_cache() -> int | None:
    """Bytes of a core's second cache as the C library tells them, 0 where it does not know; None off Linux.

    onnxruntime asks the same of it, and cuts attention into blocks accordingly.
    """
    return max(0, os.sysconf(_SC_LEVEL2_CACHE_SIZE)) if sys.platform == "linux" else None
