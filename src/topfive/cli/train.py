"""`topfive train`."""

from __future__ import annotations

from typing import Any

import click

from topfive.cli.tune import epochs, learning_rate, patience, run, trains
from topfive.training.options import INITIALIZERS, SCRATCH_EPOCHS, SCRATCH_RATES


@click.command()
@trains(
    click.option(
        "--from-scratch", is_flag=True, help="Has to be given: begin with random weights."
    ),
    click.option(
        "--initializer",
        default=INITIALIZERS[0],
        type=click.Choice(INITIALIZERS),
        help="How the weights are drawn: as in He et al. 2015, or in Glorot and Bengio 2010.",
    ),
    epochs("Train for at most N epochs.", SCRATCH_EPOCHS, least=1),
    rate=learning_rate(
        "The peak learning rate, from which it falls along a cosine.", SCRATCH_RATES
    ),
    patience=patience("never"),
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
