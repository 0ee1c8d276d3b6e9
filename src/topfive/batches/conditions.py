"""What a picture is to be, as in `--where 'dog>0.5'`."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass

from topfive.errors import UsageError
from topfive.networks.hierarchy import Node, find_node
from topfive.results import RowDict

FIRST = "first"  # no node has this name
OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
FORM = re.compile(r"(?P<name>[^<>=!]*)(?P<operator>[<>=!]*)(?P<number>.*)", re.DOTALL)
NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(%?)")
EXPECTED = "expected a class or a WordNet ancestor (dog), or its probability (dog>0.5, dog<=50%)"


@dataclass(frozen=True)
class Condition:
    """`operator` and `threshold` (0 to 1) are for the probability of `node`, or of the first
    label where `node` is None; without an operator, the first label is under `node`."""

    node: Node | None
    operator: str | None = None
    threshold: float = 0.0


def parse(text: str, nodes: dict[str, Node]) -> Condition:
    """Return the condition that a text states; `nodes` is the network's hierarchy.

    `NAME` asks whether the first label is that class or under that ancestor, `NAME>0.5`
    (also `>=`, `<`, `<=`, and `50%`) for its probability, `first>0.9` for the first label's.

    Raises:
        UsageError: it has no such form, none or several have the name, the number is not 0 to 1.
    """
    said = f"--where {text!r}"
    name, sign, number = (part.strip() for part in FORM.fullmatch(text).groups())  # type: ignore[union-attr]
    if not name:
        raise UsageError(f"{said}: {EXPECTED}")
    first = name.lower() == FIRST
    if first and not sign:
        raise UsageError(f"{said}: expected a number, as in first>0.9")
    try:
        node = None if first else find_node(nodes, name)
    except UsageError as error:
        raise UsageError(f"{said}: {error}") from error
    if not sign:
        return Condition(node)
    if sign not in OPERATORS:
        raise UsageError(f"{said}: expected one of {', '.join(OPERATORS)}; received {sign}")
    found = NUMBER.fullmatch(number)
    threshold = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= threshold <= 1:
        raise UsageError(
            f"{said}: expected a number from 0 to 1, or from 0% to 100%; received {number!r} "
            "(for a second condition, give --where again)"
        )
    return Condition(node, sign, threshold)


def ancestors(conditions: Iterable[Condition]) -> list[str]:
    """Return the WordNet ids whose probabilities `hold` reads: a classifier's `ancestors`."""
    return list(dict.fromkeys(one.node.wnid for one in conditions if one.node and one.operator))


def hold(conditions: Iterable[Condition], row: RowDict) -> bool:
    """Whether all conditions are true of a row as `Row.to_dict` makes it; never of a failure.

    Its ancestors include those of the conditions (`ancestors`).
    """
    if row["error"]:
        return False
    sums = {one["wnid"]: one["probability"] for one in row.get("ancestors", ())}
    first = row["predictions"][0]
    for condition in conditions:
        if condition.operator is None:
            if condition.node and first["index"] not in condition.node.classes:
                return False
            continue
        found = sums[condition.node.wnid] if condition.node else first["probability"]
        if not OPERATORS[condition.operator](found, condition.threshold):
            return False
    return True
