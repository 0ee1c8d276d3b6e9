"""`topfive train`."""

from __future__ import annotations

from typing import Any

import click

from topfive.cli.tune import defaults, run, tune
from topfive.training.options import INITIALIZERS, SCRATCH_EPOCHS, SCRATCH_RATES

# Options of `tune` that random weights have no use for.
OTHERS = {"head_epochs", "unfreeze", "weights", "offline"}


@click.command()
@click.option("--from-scratch", is_flag=True, help="Begin with random weights; has to be said.")
@click.option(
    "--initializer",
    default=INITIALIZERS[0],
    show_default=True,
    type=click.Choice(INITIALIZERS),
    help="How the weights are drawn: as in He et al. 2015, or in Glorot and Bengio 2010.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    metavar="N",
    help=f"How often at most the pictures are gone through.  [default: {SCRATCH_EPOCHS}]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    metavar="RATE",
    help=f"The highest, from which it falls along a cosine.  {defaults(SCRATCH_RATES)}",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    metavar="N",
    help="Stop when so many epochs were no better.  [default: never]",
)
def train(from_scratch: bool, **chosen: Any) -> int:
    """Train a network from random weights.

    DIR holds a folder of pictures for each class, named after it: many thousands of them, or
    `topfive tune` gets further. OUT becomes a network for every command, by --model OUT, with
    the curves of the training in it. A training that was stopped, however, goes on with the
    same command.

    It needs the extra topfive[tune] and Keras's backend: topfive[tensorflow], [jax] or [torch].
    docs/training.md has the recipes of the networks' papers for ImageNet.
    """
    if not from_scratch:
        raise click.UsageError(
            "say --from-scratch to begin with random weights; `topfive tune` goes on from the "
            "published ones"
        )
    return run(from_scratch=True, **chosen)


# All else is as in `tune`; what is its own comes where that tells how to learn.
_shared = [one for one in tune.params
           if one.name not in OTHERS | {own.name for own in train.params}]  # fmt: skip
_place = [one.name for one in _shared].index("batch")
train.params = [*_shared[:_place], *train.params, *_shared[_place:]]
