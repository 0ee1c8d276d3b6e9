"""Write what EfficientNet-Lite answers to photographs in PyTorch, for the tests.

An implementation that is independent of topfive's, in an environment of its own: `pip install
torch efficientnet-lite-pytorch '.[lite]' scikit-learn scikit-image`, then
`python -m scripts.make_torch_answers [FOLDER]`, where the folder holds more photographs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.photographs import PHOTOGRAPHS

from topfive.networks import weights
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS
from topfive.pictures import decoding, squares

ANSWERS = Path(__file__).parents[1] / "tests" / "data" / "torch_answers.json"
BEST = 5


def main(folders: list[str]) -> None:
    """Keep the five most probable classes of each photograph, by each network."""
    files = [*PHOTOGRAPHS.values(), *(one for name in folders for one in Path(name).iterdir())]
    told = {card.name: _answers(card, files) for card in NETWORKS.values() if card.direct}
    ANSWERS.write_text(json.dumps(told, indent=0, sort_keys=True) + "\n", "utf-8")


def _answers(network: Network, files: list[Path]) -> dict[str, dict[str, float]]:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name(network.name.replace("_", "-"))
    state: Any = torch.load(weights.path(network), weights_only=True)
    model.load_state_dict(state)
    model.eval()
    told = {}
    with torch.inference_mode():
        for file in sorted(files):
            picture, _ = decoding.decode(file.read_bytes())
            square = squares.fit(picture, network.size, network.recipe)
            pixels = (torch.tensor(square.astype(np.float32)) - 127) / 128
            row = model(pixels.permute(2, 0, 1)[None]).softmax(1)[0].numpy()
            best = (-row).argsort()[:BEST]
            told[file.name] = {str(index): round(float(row[index]), 7) for index in best}
    return told


if __name__ == "__main__":
    main(sys.argv[1:])
