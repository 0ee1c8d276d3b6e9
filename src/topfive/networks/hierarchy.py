"""ImageNet's classes under their WordNet ancestors: what can be said of a picture for sure.

Source: WordNet 3.0, Princeton University; `scripts/make_hierarchy.py` makes the table.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks.labels import Label
from topfive.results import Statement

ASSET = "imagenet_hierarchy.tsv"
LIKELY = 0.5  # the most specific statement has at least this probability
SURE = 0.95  # nothing more general is said than a statement this probable
WORTH = 0.02  # a more general statement is said only if it is this much more probable


@dataclass(frozen=True)
class Node:
    """A WordNet synset: a class or an ancestor of classes. `classes` are the indices of the
    network's outputs under it, itself included. A class that is not WordNet's has the id `#1000`,
    `#` and its index, and stands alone."""

    wnid: str
    name: str
    parents: tuple[str, ...]
    classes: tuple[int, ...]


@cache
def load(labels: tuple[Label, ...]) -> dict[str, Node]:
    """Return all nodes by their WordNet ids, for a network with these labels."""
    text = files("topfive").joinpath("assets", ASSET).read_text("utf-8")
    lines = (line.split("\t") for line in text.splitlines()[1:])
    rows = {wnid: (name, tuple(filter(None, parents.split(",")))) for wnid, name, parents in lines}
    under: dict[str, set[int]] = {wnid: set() for wnid in rows}
    names = {label.wnid: label.name for label in labels}
    mark, taken = "#", {_plain(label.name) for label in labels}
    while any(f"{mark}{index}" in taken for index in range(len(labels))):
        mark += "#"
    own: dict[str, Node] = {}
    for index, label in enumerate(labels):
        if label.wnid not in rows:
            wnid = f"{mark}{index}"
            own[wnid] = Node(wnid, label.name, (), (index,))
            continue
        above = [label.wnid]
        while above:
            wnid = above.pop()
            if index not in under[wnid]:
                under[wnid].add(index)
                above += rows[wnid][1]
    # A class goes by its label, which tells apart what WordNet calls by one word.
    known = {}
    for wnid, (name, parents) in rows.items():
        if under[wnid]:
            known[wnid] = Node(wnid, names.get(wnid, name), parents, tuple(sorted(under[wnid])))
    return known | own


def check(nodes: dict[str, Node]) -> None:
    """Raise a `UsageError` if none of a network's classes is WordNet's."""
    if not any(map(_is_wordnet, nodes)):
        name = next(iter(nodes.values())).name
        raise UsageError(
            f"no class is one of ImageNet's (the first is {name!r}): this network has no hierarchy"
        )


def find_node(nodes: dict[str, Node], name: str) -> Node:
    """Return the node with that WordNet id or name, in any case, with `_` or spaces.

    Raises:
        UsageError: none or several have it.
    """
    wanted = _plain(name)
    found = [node for node in nodes.values() if wanted in (node.wnid, _plain(node.name))]
    if len(found) == 1:
        return found[0]
    if found:
        several = "; ".join(f"{node.wnid} ({_kind(nodes, node)})" for node in found)
        raise UsageError(f"{name!r} is several things: {several}. Name one by its id")
    close = difflib.get_close_matches(wanted, [_plain(node.name) for node in nodes.values()], n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    whose = "ImageNet" if all(map(_is_wordnet, nodes)) else "this network"
    raise UsageError(f"{name!r} is neither a class of {whose} nor above one.{hint}")


def probability(node: Node, probabilities: NDArray[np.float32]) -> float:
    """Return the sum of the (classes,) probabilities under a node."""
    return float(probabilities[list(node.classes)].sum(dtype=np.float64))


def state(nodes: dict[str, Node], probabilities: NDArray[np.float32]) -> tuple[Statement, ...]:
    """Return what can be said of a picture, from the general to the specific.

    The last is the most specific that is `LIKELY`; each one before it is the next more
    general that is by `WORTH` more probable, until one is `SURE`. Nothing is said where
    nothing is likely, which classes that are not WordNet's make possible.

    Raises: see `check`.
    """
    check(nodes)
    sums = {wnid: probability(node, probabilities) for wnid, node in nodes.items()}
    likely = [node for wnid, node in nodes.items() if sums[wnid] >= LIKELY]
    if not likely:
        return ()
    said = [min(likely, key=lambda node: _specific(nodes, node))]
    for node in sorted(_above(nodes, said[0]), key=lambda node: _specific(nodes, node)):
        last = sums[said[-1].wnid]
        if last >= SURE:
            break
        if sums[node.wnid] >= last + WORTH:
            said.append(node)
    return tuple(statement(node, probabilities) for node in reversed(said))


def statement(node: Node, probabilities: NDArray[np.float32]) -> Statement:
    return Statement(node.wnid, node.name, min(1.0, probability(node, probabilities)))


def _above(nodes: dict[str, Node], node: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = list(node.parents)
    while waiting:
        parent = nodes[waiting.pop()]
        if parent not in found:
            found.add(parent)
            waiting += parent.parents
    return found


def _specific(nodes: dict[str, Node], node: Node) -> tuple[int, int]:
    """What sorts the specific before the general: few classes, far from the root."""
    return len(node.classes), -_depth(nodes, node)


def _depth(nodes: dict[str, Node], node: Node) -> int:
    return 1 + max((_depth(nodes, nodes[parent]) for parent in node.parents), default=0)


def _kind(nodes: dict[str, Node], node: Node) -> str:
    if not _is_wordnet(node.wnid):
        return "a class of its own"
    return f"a kind of {' and '.join(nodes[parent].name for parent in node.parents)}"


def _is_wordnet(wnid: str) -> bool:
    return not wnid.startswith("#")


def _plain(name: str) -> str:
    return name.strip().replace(" ", "_").lower()
