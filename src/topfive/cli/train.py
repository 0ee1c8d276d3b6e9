"""`topfive train`."""

from __future__ import annotations

from typing import Any

import click

from topfive.cli import options
from topfive.cli.tune import run, trains
from topfive.training.options import INITIALIZERS, SCRATCH_EPOCHS, SCRATCH_RATES


@click.command()
@trains(
    options.flag("--from-scratch", help="Has to be given: begin with random weights."),
    options.choice(
        "--initializer",
        values=INITIALIZERS,
        help="How the weights are drawn: as in He et al. 2015, or in Glorot and Bengio 2010.",
    ),
    options.number("--epochs", help=f"Train for at most N epochs.  [default: {SCRATCH_EPOCHS}]"),
    rates=SCRATCH_RATES,
    patience="never",
    network=("recipe", "fit", "filter", "window", "max_pixels"),
)
def train(from_scratch: bool, **chosen: Any) -> int:
    """Train a network on your own classes from random weights.

    DIR has a folder of pictures for each class, named after the class. This takes many
    thousands of pictures; with fewer, `topfive tune` is more accurate.

    OUT is the new network. All commands take it as --model. The training curves are in it. If
    a training is stopped, the same command continues it.

    This needs the extra topfive[tune] and a Keras backend: topfive[tensorflow], topfive[jax]
    or topfive[torch]. docs/training.md has the settings of the networks' papers for ImageNet.

    \b
    Example:
      topfive train photos/ -o mynet -m resnet50 --from-scratch
    """
    if not from_scratch:
        raise click.UsageError(
            "say --from-scratch to begin with random weights; `topfive tune` goes on from the "
            "published ones"
        )
    return run(from_scratch=True, **chosen)
