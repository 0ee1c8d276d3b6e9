"""What can be said of a picture in WordNet's words."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.photographs import PHOTOGRAPHS, variations
from topfive import Classification, Classifier, UsageError
from topfive.cli.main import main
from topfive.networks import hierarchy, labels

LABELS = labels.load("imagenet")
NODES = hierarchy.load(LABELS)
INDEX = {label.name: index for index, label in enumerate(LABELS)}


def row(**probabilities: float) -> NDArray[np.float32]:
    found = np.zeros(1000, np.float32)
    for name, probability in probabilities.items():
        found[INDEX[name]] = probability
    found[INDEX["bubble"]] += 1 - found.sum()
    return found


def said(probabilities: NDArray[np.float32]) -> list[tuple[str, float]]:
    return [(one.label, round(one.probability, 2)) for one in hierarchy.state(NODES, probabilities)]


def test_every_class_is_under_the_root_and_every_ancestor_has_a_class() -> None:
    assert NODES["n00001740"].classes == tuple(range(1000))
    assert all(node.classes for node in NODES.values())
    assert {wnid for node in NODES.values() for wnid in node.parents} <= NODES.keys()


@pytest.mark.parametrize(
    ("name", "count"), [("dog", 118), ("bird", 59), ("beagle", 1), ("entity", 1000)]
)
def test_a_group_has_its_known_size(name: str, count: int) -> None:
    # Known of ILSVRC 2012: 118 breeds and kinds of dogs (151 to 268), 59 birds.
    assert len(hierarchy.find_node(NODES, name).classes) == count


def test_the_dogs_are_where_imagenet_has_them() -> None:
    assert hierarchy.find_node(NODES, "dog").classes == tuple(range(151, 269))


def test_from_the_general_to_the_specific() -> None:
    probabilities = row(beagle=0.61, basset=0.2, Walker_hound=0.12, pug=0.04)
    assert said(probabilities) == [("dog", 0.97), ("hound", 0.93), ("beagle", 0.61)]


def test_five_split_breeds_become_one_useful_answer() -> None:
    probabilities = row(pug=0.2, beagle=0.2, Samoyed=0.2, komondor=0.2, Saluki=0.17)
    assert said(probabilities) == [("dog", 0.97)]


def test_a_sure_class_is_all_there_is_to_say() -> None:
    assert said(row(soccer_ball=0.99)) == [("soccer_ball", 0.99)]


def test_what_adds_nothing_is_not_said() -> None:
    # Every hunting dog here is a hound: `hunting_dog` would only repeat it.
    labels_said = [label for label, _ in said(row(beagle=0.6, basset=0.33, pug=0.04))]
    assert "hunting_dog" not in labels_said


@pytest.mark.parametrize("seed", range(20))
def test_statements_grow_with_generality_and_the_last_is_likely(seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(1000, 0.005)).astype(np.float32)
    statements = hierarchy.state(NODES, probabilities)
    values = [one.probability for one in statements]
    assert values == sorted(values, reverse=True)
    assert values[-1] >= hierarchy.LIKELY
    sizes = [set(NODES[one.wnid].classes) for one in statements]
    assert all(special < general for general, special in pairwise(sizes))
    smaller = [node for node in NODES.values() if len(node.classes) < len(sizes[-1])]
    assert all(hierarchy.probability(node, probabilities) < hierarchy.LIKELY for node in smaller)


@pytest.mark.parametrize("name", ["n02084071", "Dog", " dog "])
def test_a_group_is_found_by_its_id_or_name(name: str) -> None:
    assert hierarchy.find_node(NODES, name).wnid == "n02084071"


def test_a_name_of_several_things_and_an_unknown_one_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"n02012849 \(a kind of wading_bird\)"):
        hierarchy.find_node(NODES, "crane")
    with pytest.raises(UsageError, match=r"Did you mean .*dog"):
        hierarchy.find_node(NODES, "dgo")


def own(*names: str) -> tuple[labels.Label, ...]:
    return tuple(labels.Label("", name) for name in names)


def test_a_network_of_other_classes_has_no_hierarchy_but_its_classes_are_found() -> None:
    nodes = hierarchy.load(own("my cat", "dog"))
    assert hierarchy.find_node(nodes, "My_cat").classes == (0,)
    assert hierarchy.find_node(nodes, "dog").classes == (1,)
    for check in (hierarchy.check, lambda nodes: hierarchy.state(nodes, np.array([0.9, 0.1]))):
        with pytest.raises(UsageError, match=r"'my cat'.*this network has no hierarchy"):
            check(nodes)
    with pytest.raises(UsageError, match="'canine' is neither a class of this network nor above"):
        hierarchy.find_node(nodes, "canine")


def test_own_classes_stand_alone_beside_imagenets() -> None:
    nodes = hierarchy.load(LABELS + own("my dog", "#1000", "Beagle "))
    mine = hierarchy.find_node(nodes, "my dog")
    assert (mine.parents, mine.classes) == ((), (1000,))
    assert hierarchy.find_node(nodes, mine.wnid) == mine
    assert hierarchy.find_node(nodes, "#1000").classes == (1001,)  # which is called so
    assert hierarchy.find_node(nodes, "entity").classes == tuple(range(1000))
    assert {name: nodes[name].classes for name in NODES} == {
        name: node.classes for name, node in NODES.items()
    }
    with pytest.raises(UsageError, match=r"n02088364 \(a kind of hound\); ##1002 \(a class of its"):
        hierarchy.find_node(nodes, "beagle")


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({1000: 0.7, 162: 0.3}, [("my dog", 0.7)]),
        ({1000: 0.3, 162: 0.65, 161: 0.05}, [("hound", 0.7), ("beagle", 0.65)]),
        ({1000: 0.4, 1001: 0.4, 162: 0.2}, []),
    ],
)
def test_what_is_said_where_own_classes_take_a_part(
    probabilities: dict[int, float], expected: list[tuple[str, float]]
) -> None:
    row = np.zeros(1002, np.float32)
    row[list(probabilities)] = list(probabilities.values())
    found = hierarchy.state(hierarchy.load(LABELS + own("my dog", "b")), row)
    assert [(one.label, round(one.probability, 2)) for one in found] == expected


def test_only_what_is_above_a_class_can_be_asked_for() -> None:
    nodes = hierarchy.load((LABELS[INDEX["beagle"]], labels.Label("", "mine")))
    assert hierarchy.find_node(nodes, "dog").classes == (0,)
    with pytest.raises(UsageError, match="'bird' is neither a class of this network nor above"):
        hierarchy.find_node(nodes, "bird")


@pytest.mark.slow
def test_the_script_makes_the_table_from_wordnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path("/usr/share/wordnet/data.noun")
    if not source.is_file():
        pytest.skip("needs WordNet 3.0 (Debian's wordnet-base)")
    script = importlib.import_module("scripts.make_hierarchy")
    shipped = script.ASSET.read_text("utf-8")
    monkeypatch.setattr(script, "ASSET", tmp_path / "table.tsv")
    script.main(source)
    assert (tmp_path / "table.tsv").read_text("utf-8") == shipped


@pytest.mark.slow
def test_photographs_of_a_cat_are_of_a_cat(warm: Path) -> None:
    classifier = Classifier(hierarchy=True, ancestors=["cat", "self-propelled vehicle"])
    right = sure = 0
    for name in PHOTOGRAPHS:
        for result in classifier.stream(variations(name, 10)):
            assert isinstance(result, Classification)
            cat, vehicle = (one.probability > 0.5 for one in result.ancestors)
            right += (cat, vehicle) == (name == "cat", name == "motorcycle")
            sure += result.predictions[0].probability > 0.5
    assert right >= 0.95 * 80
    assert sure <= 40, "of single classes it is less sure"


def test_the_command_says_it_in_one_line(warm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(PHOTOGRAPHS["cat"])
    assert main(["classify", picture, "--hierarchy", "--ancestor", "cat"]) == 0
    line, cat = capsys.readouterr().out.splitlines()
    assert line == "whole 100%, placental 94%, domestic_cat 92%"
    assert cat.startswith("cat: 9")
    assert main(["classify", picture, "--ancestor", "crane"]) == 2
