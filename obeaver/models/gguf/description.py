"""What a GGUF file's metadata and tensor table say about the model, checked and in one value.

What the models of a family have in common stands in `families.py`. Whatever this project cannot compute exactly is
refused by name, never left out: an unknown family, a kind of rope scaling, a tensor that nothing would use.
"""

from collections.abc import Mapping
from typing import Final

from obeaver.models.gguf.architecture import Architecture, Experts, LayerKind, Temperature
from obeaver.models.gguf.families import ARCHITECTURES, FAMILIES, Family, Windows
from obeaver.models.gguf.keys import Keys
from obeaver.models.gguf.reader import TensorFile
from obeaver.models.gguf.rope import RopeChoice, read_rope
from obeaver.models.gguf.tensors import check_tensors, matrices_of, vectors_of

# Bounds on what a header may ask for, far above any model of these families.
_MAX_CONTEXT: Final = 1 << 20
_MAX_HEAD_DIM: Final = 512
_MAX_EXPERTS: Final = 1 << 10
_STATE: Final = "keeps a state that every token changes, which a cache of keys and values cannot hold"
# Families with a recurrent state, by the beginnings of their names.
_RECURRENT: Final = ("qwen35", "qwen3next", "lfm2", "mamba", "rwkv", "arwkv", "jamba", "falcon-h1", "granitehybrid")
# What GGUF files hold beside models, by their architecture or their `general.type`.
_NO_MODELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("clip", "mmproj"),
        "it is the part that sees or hears for another model (mmproj): give that model's own file, which is served for "
        "text",
    ),
    "adapter": "it is an adapter (LoRA), which changes another model: merge it into that and give the result",
    "imatrix": "it holds statistics for quantising a model: give the model's own file",
    "controlvector": "it is a control vector, which changes another model: give that model's own file",
}
_INSTEAD: Final = "look for the model as a folder for onnxruntime-genai, or run `obeaver convert` on its checkpoint"


def read_architecture(file: TensorFile, context: int | None = None) -> Architecture:
    """Describe the model, having checked that the file holds exactly the tensors that it needs.

    Args:
        file: The file.
        context: Tokens that the model shall be able to use; None is as many as it can.

    Raises:
        ModelError: The architecture, one of its features, or a tensor's type or shape is not supported.
    """
    found = _Description(file, context).architecture()
    check_tensors(file, found)
    return found


class _Description:
    """One file's keys, read by the rules of its family."""

    def __init__(self, file: TensorFile, context: int | None) -> None:
        self._file = file
        self._keys = Keys(file)
        self._family = self._known_family(self._keys.family)
        self._context = context

    def architecture(self) -> Architecture:
        """Put everything together."""
        keys, family, tensors = self._keys, self._family, self._file.tensors
        vocab_size, hidden_size = self._embedding_shape()
        num_layers = keys.count("block_count")
        num_heads = keys.count("attention.head_count")
        num_kv_heads = self._kv_heads(num_heads)
        head_dim = self._head_dim(hidden_size, num_heads)
        experts = self._experts()
        ffn_size = experts.ffn_size if experts else keys.count("feed_forward_length")
        rope = self._rope(head_dim)
        attention = num_heads * head_dim, num_kv_heads * head_dim
        matrices = matrices_of(tensors, family, experts, hidden_size, *attention, ffn_size)
        return Architecture(
            name=keys.family,
            family=family,
            num_layers=num_layers,
            hidden_size=hidden_size,
            ffn_size=ffn_size,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=head_dim,
            pairs=family.rotary == "pairs" and not self._has_sections(),
            vocab_size=vocab_size,
            context_length=rope.context_length,
            norm_epsilon=keys.number(f"attention.layer_norm{'_rms' if family.norm == 'rms' else ''}_epsilon"),
            layers=self._layers(rope, min(num_layers, len(tensors))),
            matrices=matrices,
            vectors=vectors_of(tensors, family, hidden_size, head_dim, num_heads, num_kv_heads, matrices),
            experts=experts,
            attention_scale=family.attention_scale(keys) or head_dim**-0.5,
            attention_cap=family.attention_cap(keys),
            logit_cap=family.logit_cap(keys),
            embedding_scale=family.embedding_scale(keys),
            residual_scale=family.residual_scale(keys),
            logit_scale=family.logit_scale(keys),
            temperature=self._temperature(),
            tied_head="output.weight" not in tensors,
            causal=keys.flag("attention.causal", default=family.causal),
        )

    def _known_family(self, name: str) -> Family:
        for kind in (name, self._file.metadata.get("general.type")):
            if kind in _NO_MODELS:
                raise self._keys.refusal(_NO_MODELS[str(kind)])
        if name in FAMILIES:
            return FAMILIES[name]
        known = f"only {', '.join(ARCHITECTURES)} are"
        if name.startswith(_RECURRENT):
            raise self._keys.refusal(f"the architecture {name!r} is not supported: it {_STATE}; {known}")
        raise self._keys.refusal(f"the architecture {name!r} is not supported, {known}; {_INSTEAD}")

    def _embedding_shape(self) -> tuple[int, int]:
        info = self._file.tensors.get("token_embd.weight")
        if info is None or len(info.shape) != 2:
            raise self._keys.refusal("it has no matrix token_embd.weight")
        if info.shape[1] != self._keys.count("embedding_length"):
            raise self._keys.refusal("the width of token_embd.weight is not its embedding_length")
        return info.shape[0], info.shape[1]

    def _kv_heads(self, num_heads: int) -> int:
        num_kv_heads = self._keys.count("attention.head_count_kv", default=num_heads)
        if num_heads % num_kv_heads:
            raise self._keys.refusal(f"{num_heads} query heads cannot share {num_kv_heads} key heads evenly")
        return num_kv_heads

    def _head_dim(self, hidden_size: int, num_heads: int) -> int:
        keys = self._keys
        share = hidden_size // num_heads
        head_dim = keys.count("attention.key_length", default=share, most=_MAX_HEAD_DIM)
        if keys.count("attention.value_length", default=share) != head_dim:
            raise keys.refusal("values of another width than keys are not supported")
        return head_dim

    def _experts(self) -> Experts | None:
        keys, width_key = self._keys, self._family.experts
        count = keys.count("expert_count", default=0, most=_MAX_EXPERTS)
        if not count:
            return None
        if width_key is None:
            raise keys.refusal(f"a {keys.family} model with a mixture of experts is not supported")
        used = keys.count("expert_used_count", most=count)
        default = None if width_key == "feed_forward_length" else keys.count("feed_forward_length") // used
        return Experts(count, used, keys.count(width_key, default=default))

    def _rope(self, head_dim: int) -> RopeChoice:
        context = self._keys.count("context_length", most=_MAX_CONTEXT)
        return read_rope(self._keys, self._family, self._file.tensors, head_dim, context, self._context)

    def _layers(self, rope: RopeChoice, count: int) -> tuple[LayerKind, ...]:
        family = self._family
        window, windowed = self._windows(family.windows, count)
        rotated = family.rotary is not None
        if family.rotary_if_tuned:
            rotated = self._keys.flag("rope.scaling.finetuned", default=True)
        return tuple(
            LayerKind(
                window=window if windowed[layer] else None,
                rope=(rope.windowed if windowed[layer] else rope.whole)
                if rotated and not self._is_unrotated(layer)
                else None,
            )
            for layer in range(count)
        )

    def _has_sections(self) -> bool:
        """Whether rotation is cut into sections for images, in a family where this means halves."""
        sections = self._keys.whole_numbers("rope.dimension_sections")
        return self._family.halves_if_sections and len(sections) > 1 and min(sections[:2]) > 0

    def _is_unrotated(self, layer: int) -> bool:
        every = self._family.unrotated_every
        return bool(every) and (layer + 1) % every == 0

    def _windows(self, windows: Windows | None, count: int) -> tuple[int, list[bool]]:
        """The window, and which layers have it."""
        if windows is None:
            return 0, [False] * count
        keys, key = self._keys, "attention.sliding_window_pattern"
        window = keys.count("attention.sliding_window", default=0) or windows.default
        if not window or windows.every is None:
            return window, [bool(window)] * count
        flags = keys.whole_numbers(key)
        if flags:
            if len(flags) < count:
                raise keys.refusal(f"its {keys.family}.{key} is of {len(flags)} layers, there are {count}")
            return window, [bool(flag) for flag in flags[:count]]
        every = keys.count(key, default=windows.every)
        whole = 0 if windows.whole_first else every - 1
        return window, [layer % every != whole for layer in range(count)]

    def _temperature(self) -> Temperature | None:
        keys = self._keys
        slope = keys.optional("attention.temperature_scale") if self._family.yarn_keys else 0.0
        if not slope:
            return None
        step = keys.count("rope.scaling.original_context_length", default=keys.count("context_length"))
        return Temperature(slope, step)
