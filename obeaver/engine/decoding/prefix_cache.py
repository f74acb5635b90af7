"""Keys and values of prompts that were computed before, found by their longest common token prefix.

A radix tree over token ids. Each node holds a run of at most `NODE_TOKENS` ids and the block of their keys and values;
the path from the root spells the whole prefix, because keys and values depend on every token before. Matching is exact
to the token: a match may end in the middle of a node.

Four decisions keep it small:

- Blocks never change and are never views. A split copies both halves, so the bytes that are counted are the bytes that
  are held, and a match keeps its blocks whatever happens to the tree meanwhile: nothing needs a lock.
- Recency is one ordered dict. Whoever touches a path touches the leaf first and its ancestors after, so a parent is
  always younger than its children, and the oldest node is always a leaf: eviction looks at one entry.
- Nodes are short, so that a split copies little and eviction takes a long conversation's tail before its head.
- A child does not keep its parent alive, so the tree goes at once with whoever holds it: what refers to itself waits
  for a collector, which does not look at what a server had when it settled.

All of it belongs to the engine thread.
"""

import weakref
from collections import OrderedDict, abc
from dataclasses import dataclass

from obeaver.engine.runners.runner import KvBlock

NODE_TOKENS = 256
"""Ids in a node at most: about 3 MB of int8 keys and values for a model of 135 million parameters."""

ReadKv = abc.Callable[[int, int], KvBlock]
"""(start, stop) -> a copy of the keys and values of these places."""


def common_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """How many leading ids two tuples share.

    Halves the range instead of walking it: comparing slices runs at C speed.
    """
    known, limit = 0, min(len(left), len(right))
    while known < limit:
        middle = (known + limit + 1) // 2
        if left[known:middle] == right[known:middle]:
            known = middle
        else:
            limit = middle - 1
    return known


class Node:
    """A run of token ids, their block [num_layers, 2, num_kv_heads, num_tokens, head_dim], and what may follow."""

    __slots__ = ("__weakref__", "_parent", "block", "children", "token_ids")

    def __init__(self, token_ids: tuple[int, ...], block: KvBlock, parent: "Node | None") -> None:
        self.token_ids = token_ids
        self.block = block
        self.children: dict[int, Node] = {}
        self.parent = parent

    @property
    def parent(self) -> "Node | None":
        """What it follows, as long as that is in the tree; None for what begins a prefix."""
        return None if self._parent is None else self._parent()

    @parent.setter
    def parent(self, node: "Node | None") -> None:
        self._parent = None if node is None else weakref.ref(node)


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """A prefix that the tree holds: `num_tokens` along `nodes` from the root; the last node may count in part."""

    num_tokens: int
    nodes: tuple[Node, ...]
    held: tuple[KvBlock, ...]

    def blocks(self) -> abc.Iterator[tuple[int, KvBlock]]:
        """Pairs of (place of the first token, block), in order."""
        start = 0
        for block in self.held:
            yield start, block[:, :, :, : self.num_tokens - start]
            start += block.shape[3]


class PrefixCache:
    """The tree, within a budget.

    Args:
        budget_bytes: Most bytes of keys and values that it holds.
        bytes_per_token: Bytes of one token's keys and values.
    """

    def __init__(self, budget_bytes: int, bytes_per_token: int) -> None:
        self._max_tokens = budget_bytes // bytes_per_token
        self._bytes_per_token = bytes_per_token
        self._num_tokens = 0
        self._roots: dict[int, Node] = {}
        self._by_age: OrderedDict[Node, None] = OrderedDict()

    @property
    def num_tokens(self) -> int:
        """Tokens whose keys and values are held."""
        return self._num_tokens

    @property
    def max_tokens(self) -> int:
        """Most tokens that it holds."""
        return self._max_tokens

    @property
    def num_nodes(self) -> int:
        """Nodes of the tree."""
        return len(self._by_age)

    @property
    def used_bytes(self) -> int:
        """Bytes of keys and values that are held."""
        return self._num_tokens * self._bytes_per_token

    def match(self, token_ids: tuple[int, ...]) -> PrefixMatch:
        """The longest prefix of these ids that the tree holds. Changes nothing: not even the age of what it found."""
        nodes: list[Node] = []
        children, matched = self._roots, 0
        while matched < len(token_ids) and (node := children.get(token_ids[matched])) is not None:
            shared = common_prefix(node.token_ids, token_ids[matched : matched + len(node.token_ids)])
            nodes.append(node)
            matched += shared
            if shared < len(node.token_ids):
                break
            children = node.children
        return PrefixMatch(matched, tuple(nodes), tuple(node.block for node in nodes))

    def touch(self, match: PrefixMatch) -> None:
        """The match was used: what the tree still holds of it becomes the youngest."""
        self._rejuvenate(next((node for node in reversed(match.nodes) if node in self._by_age), None))

    def insert(self, token_ids: tuple[int, ...], read: ReadKv) -> int:
        """Hold the keys and values of these ids, or of the first so many that fit.

        Only what the tree lacks is read; room for it is made by evicting what was not used for the longest time.

        Returns:
            Tokens that were added.
        """
        match = self.match(token_ids)
        known = match.num_tokens
        path = self._path_to_end(match) if known < len(token_ids) else match.nodes
        parent = path[-1] if path else None
        self._rejuvenate(parent)
        stop = known + self._make_room(len(token_ids) - known, keep=path)
        for start in range(known, stop, NODE_TOKENS):
            end = min(start + NODE_TOKENS, stop)
            parent = self._attach(parent, token_ids[start:end], read(start, end))
        self._rejuvenate(parent)
        return stop - known

    def invariants(self) -> list[str]:
        """Violations of what this module promises, in words; an empty list is health."""
        found = []
        if self._num_tokens > self._max_tokens:
            found.append(f"prefix cache holds {self._num_tokens} tokens of {self._max_tokens}")
        if sum(len(node.token_ids) for node in self._by_age) != self._num_tokens:
            found.append("prefix cache: nodes and token count disagree")
        if sum(node.block.nbytes for node in self._by_age) != self.used_bytes:
            found.append("prefix cache: blocks and byte count disagree")
        if any(node.block.base is not None for node in self._by_age):
            found.append("prefix cache: a block is a view of a larger array")
        return found + self._order_violations()

    def _order_violations(self) -> list[str]:
        age = {node: index for index, node in enumerate(reversed(self._by_age))}
        return [
            "prefix cache: a child is younger than its parent, or an orphan"
            for node in self._by_age
            if node.parent is not None and age.get(node.parent, len(age)) > age[node]
        ]

    def _make_room(self, num_wanted: int, keep: tuple[Node, ...]) -> int:
        """Evict old leaves until so many tokens fit; how many of them do."""
        while self._by_age and self._num_tokens + num_wanted > self._max_tokens:
            oldest = next(iter(self._by_age))
            if oldest in keep:
                break
            self._evict(oldest)
        return min(num_wanted, self._max_tokens - self._num_tokens)

    def _evict(self, leaf: Node) -> None:
        del self._children_of(leaf.parent)[leaf.token_ids[0]]
        del self._by_age[leaf]
        self._num_tokens -= len(leaf.token_ids)

    def _path_to_end(self, match: PrefixMatch) -> tuple[Node, ...]:
        """Nodes that spell the match exactly; if it ended inside a node, that node is cut in two."""
        if not match.nodes:
            return ()
        last = match.nodes[-1]
        inside = match.num_tokens - sum(len(node.token_ids) for node in match.nodes[:-1])
        return match.nodes if inside == len(last.token_ids) else (*match.nodes[:-1], self._split_off(last, inside))

    def _split_off(self, node: Node, num_tokens: int) -> Node:
        """Give the first ids of a node to a new parent of it. The rest keeps its children and its age."""
        head = Node(node.token_ids[:num_tokens], node.block[:, :, :, :num_tokens].copy(), node.parent)
        self._children_of(head.parent)[head.token_ids[0]] = head
        node.token_ids, node.block = node.token_ids[num_tokens:], node.block[:, :, :, num_tokens:].copy()
        node.parent = head
        head.children[node.token_ids[0]] = node
        self._by_age[head] = None
        return head

    def _rejuvenate(self, node: Node | None) -> None:
        """Make a node and its ancestors the youngest, the root last."""
        while node is not None:
            self._by_age.move_to_end(node)
            node = node.parent

    def _attach(self, parent: Node | None, token_ids: tuple[int, ...], block: KvBlock) -> Node:
        node = Node(token_ids, block, parent)
        self._children_of(parent)[token_ids[0]] = node
        self._by_age[node] = None
        self._num_tokens += len(token_ids)
        return node

    def _children_of(self, node: Node | None) -> dict[int, Node]:
        return self._roots if node is None else node.children
