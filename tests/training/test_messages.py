"""What goes to the process that trains is the same there."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from topfive.networks.cards import choose_recipe
from topfive.networks.published import NETWORKS
from topfive.training.messages import Folders, TrainingRequest
from topfive.training.options import Options

NETWORK = NETWORKS["squeezenet"]
REQUEST = TrainingRequest(
    Folders("pictures", "out", None, 0.2),
    "squeezenet",
    ("file.h5", "sha256:ab"),
    choose_recipe(NETWORK, window=(-100.0, 900.0)),
    Options(unfreeze="all").resolved(),
    "jax",
    10**6,
    True,
)


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        replace(
            REQUEST,
            folders=Folders("pictures", "out", "apart", 0.2),
            weights=None,
            recipe=NETWORK.recipe,
        ),
    ],
)
def test_a_request_is_the_same_after_json(request_: TrainingRequest) -> None:
    assert TrainingRequest.from_dict(json.loads(json.dumps(asdict(request_)))) == request_
