"""The folder of a network that was trained, and the proof of what it answers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import shapes, taught
from topfive import Classifier
from topfive.errors import EngineError, UsageError
from topfive.networks import heads, taught_folders
from topfive.networks.cards import Network
from topfive.networks.taught_cards import TaughtCard
from topfive.sources.source import from_object
from topfive.training import checkpoints, tuned_networks
from topfive.training.messages import Folders, Plan, TrainingRequest, TrainingResult
from topfive.training.options import Options

TRUTHS = [0, 0, 1, 1, 2, 2, 3, 3]
OPTIONS = Options(epochs=1).resolved()


@pytest.fixture
def work(tmp_path: Path, weight_file: Path, squeezenet: Classifier) -> Path:
    """What a training leaves that tells 8 pictures of 4 shapes, which are beside it."""
    folder = tmp_path / "out" / ".training"
    folder.mkdir(parents=True)
    shapes.write(tmp_path / "shapes", 2)
    taught.write_body(weight_file, folder / checkpoints.BODY)
    found = squeezenet.responses(map(from_object, names(tmp_path)), output="features")
    features = np.stack([np.asarray(response.values) for _, response in found])
    heads.write(taught.fitted_head(features, TRUTHS, 4), folder / checkpoints.HEAD)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(map(str, (folder / "shapes").rglob("*.png")))


def request(folder: Path, network: Network = taught.BACKBONE, **more: Any) -> TrainingRequest:
    return TrainingRequest(
        folders=Folders("shapes", str(folder / "out"), more.pop("validation", None), 0.2),
        network=network.reference,
        weights=None,
        recipe=network.recipe,
        options=more.pop("options", OPTIONS),
        backend="keras",
        max_pixels=10**6,
        restart=False,
    )


def result(folder: Path, **more: Any) -> TrainingResult:
    """What the process that trains answers."""
    plan: Plan = {
        "backend": "keras", "devices": ["CPU"], "mixed_precision": False, "pictures": 40,
        "classes": list(shapes.SHAPES), "held_out": 8, "phases": [], "steps": 2, "resumed_from": 0,
    }  # fmt: skip
    given: dict[str, Any] = {"held_out": names(folder), "truths": TRUTHS, "answers": TRUTHS, **more}
    return TrainingResult(
        plan, unreadable=2, copies=3, history=[{"epoch": 1}], best_epoch=1, seconds=2.5,
        parameters=724_548, **given,
    )  # fmt: skip


def card(folder: Path, network: Network = taught.BACKBONE, **more: Any) -> TaughtCard:
    return tuned_networks.card_of(network, request(folder, network, **more), result(folder))


@pytest.mark.slow
def test_what_a_training_left_becomes_a_network_that_can_be_trained_again(
    work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    network = taught_folders.write(out, card(tmp_path), tuned_networks.files(work))
    assert network.taught is not None
    assert (network.name, network.taught.backbone) == ("out", "squeezenet_v1.1")
    assert (network.taught.classes, network.taught.tuned) == (shapes.SHAPES, True)
    made = taught_folders.read_card(out).made
    assert (made["by"], made["folder"], made["split"]) == ("tune", "shapes", 0.2)
    assert (made["pictures"], made["held_out"]) == (40, 8)
    assert (made["unreadable"], made["copies"]) == (2, 3)
    assert made["options"] == asdict(OPTIONS)
    again = card(tmp_path, network)
    assert again.backbone == "squeezenet_v1.1", "a published network, whose builder is known"
    scratch = card(tmp_path, options=Options(from_scratch=True).resolved(), validation="apart").made
    assert (scratch["by"], scratch["validation"], scratch["split"]) == ("train", "apart", None)


@pytest.mark.slow
def test_the_compiled_network_is_measured_and_has_to_answer_as_the_trained_one(
    work: Path, tmp_path: Path
) -> None:
    content = card(tmp_path)

    def hits(**more: Any) -> int:
        return tuned_networks.proved(content, request(tmp_path), result(tmp_path, **more)).hits

    assert hits() == 8
    assert hits(truths=[0, 0, 1, 1, 2, 2, 0, 0]) == 6
    assert hits(answers=[1, 0, 1, 1, 2, 2, 3, 3]) == 8, "one picture may go either way"
    with pytest.raises(EngineError, match="answers 2 of 8 pictures otherwise than the trained"):
        hits(answers=[1, 1, 1, 1, 2, 2, 3, 3])
    gone = Path(names(tmp_path)[3])
    known = names(tmp_path)
    gone.unlink()
    with pytest.raises(UsageError, match=f"{gone} changed or went away"):
        hits(held_out=known)
