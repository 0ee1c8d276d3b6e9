"""What both sides read: weight files, and Keras's class list, in a folder of Keras's layout.

Published weights where Keras's own folder has them, else random ones in the same layout,
made by `python -m benchmarks.weight_files NETWORK FILE`: a process of its own, for Keras
must not be in the memory of the one that measures.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from topfive.networks import labels, weights
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.system import files

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "weights"


def class_index() -> bytes:
    """Return Keras's `imagenet_class_index.json`, to the byte: Keras compares its hash, and
    would fetch it in the first run."""
    table = {str(i): [label.wnid, label.name] for i, label in enumerate(labels.load("imagenet"))}
    return json.dumps(table).encode()


def published_file(network: Network) -> Path | None:
    """Return the network's published weight file where it is in a package, in Keras's folder or
    beside the checkout."""
    own, beside = weights.path(network), SHARED / network.weights.name
    if own.is_file() and weights.verify(network):
        return own
    checksum = network.weights.checksum
    return beside if checksum and beside.is_file() and files.matches(beside, checksum) else None


def provide_file(network: Network, home: Path) -> tuple[str, Path]:
    """Return what kind of weights there are for the network, and their file: the published one
    (see `published_file`), or a random one that is made in `home`."""
    found, own = published_file(network), weights.path(network)
    if found and found != own:
        return "published", found
    kind, _, options = provide_weights(network, home)
    return kind, Path(options[1]) if options else own


def own_file(network: Network, file: Path) -> Path | None:
    """Return a weight file, None where it is the network's own, of which topfive knows more than
    of a user's."""
    return None if file == weights.path(network) else file


def own_options(network: Network, file: Path) -> list[str]:
    """Return the options that name a weight file to topfive: none where it is the network's
    own."""
    return ["--weights", str(file)] if own_file(network, file) else []


def provide_weights(network: Network, home: Path) -> tuple[str, list[str], list[str]]:
    """Put the network's weight file into a folder of Keras's layout; return what kind of
    weights they are, and the options that name the file to the script and to topfive."""
    models = home / "models"
    models.mkdir(parents=True, exist_ok=True)
    (models / "imagenet_class_index.json").write_bytes(class_index())
    published, file = weights.path(network), models / network.weights.name
    if published.is_file() and weights.verify(network):
        if not file.exists():
            file.symlink_to(published.resolve())
        return "published", [], []
    random = models / f"{network.name}_random.h5"
    if not random.is_file():
        maker = (sys.executable, "-m", "benchmarks.weight_files", network.name, str(random))
        # Keras's own graph, channels last, does not run where oneDNN is held to AVX2.
        plain = {name: value for name, value in os.environ.items() if "ONEDNN" not in name}
        subprocess.run(maker, cwd=ROOT, check=True, env=plain)
    with random.open("rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
    return "random", ["--weights", random.name, "--hash", md5], ["--weights", str(random)]


def make_random(name: str, file: str) -> None:
    """Write random weights for a network; needs no training framework."""
    os.environ["KERAS_BACKEND"] = "openvino"
    from tests.support.fakes import make_weights

    make_weights(find_network(name), Path(file))


if __name__ == "__main__":
    make_random(*sys.argv[1:])
