"""Write the answers that graphs made without Keras have to give, computed by Keras + TensorFlow.

python scripts/make_direct_answers.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from topfive.engines import direct_graphs, keras_engine, proofs
from topfive.networks import weights
from topfive.networks.published import NETWORKS

ASSET = Path(__file__).parents[1] / "src" / "topfive" / "assets" / direct_graphs.ASSET


def main() -> None:
    """Keep the logits and the features of `proofs.pictures`, of each network."""
    arrays = {}
    for network in NETWORKS.values():
        if network.direct:
            run = keras_engine.load(network, weights.checked(network), backend="tensorflow")
            pictures = proofs.pictures(network.size)
            arrays[f"{network.name}_logits"] = run.logits(pictures)
            arrays[f"{network.name}_features"] = run.features(pictures)
    np.savez(ASSET, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
