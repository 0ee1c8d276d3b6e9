"""`topfive tune`, and what it shares with `topfive train`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from topfive.cli import options
from topfive.cli.classify import write
from topfive.system.processes import return_memory
from topfive.training.options import (
    ALL,
    EPOCHS,
    HEAD_EPOCHS,
    HEAD_FACTOR,
    LEARNING_RATES,
    MIXED,
    OPTIMIZERS,
    WEIGHT_DECAYS,
    Options,
)

# Of `tuning`, which is not imported for a help page; a test compares them.
BACKENDS = ("tensorflow", "jax", "torch")
SPLIT = 0.2
PATIENCE = 5


def blocks(value: object) -> int | str:
    """Return a number of blocks, or `ALL`, from what was written."""
    text = str(value)
    if text != ALL and not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number of blocks nor {ALL!r}.")
    return ALL if text == ALL else int(text)


def defaults(values: dict[str, float]) -> str:
    """Return what a help page says of a default that depends on the optimizer."""
    return f"[default: {', '.join(f'{value:g} for {name}' for name, value in values.items())}]"


@click.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The folder of the new network.",
)
@options.model
@click.option(
    "--backend",
    default=BACKENDS[0],
    show_default=True,
    type=click.Choice(BACKENDS),
    help="Keras's backend that trains.",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Hold out the pictures of another folder like DIR.",
)
@click.option(
    "--split",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help=f"Hold out a share of each class in DIR.  [default: {SPLIT}]",
)
@click.option(
    "--head-epochs",
    type=click.IntRange(0),
    metavar="N",
    help="How often at most the pictures are gone through first, while the head alone learns.  "
    f"[default: {HEAD_EPOCHS}]",
)
@click.option(
    "--epochs",
    type=click.IntRange(0),
    metavar="N",
    help=f"How often at most after that.  [default: {EPOCHS}]",
)
@click.option(
    "--unfreeze",
    default=Options.unfreeze,
    show_default=True,
    type=blocks,
    metavar="N|all",
    help="How many blocks under the head learn with it then.",
)
@click.option(
    "--batch",
    default=Options.batch,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many pictures make a step.",
)
@click.option(
    "--optimizer",
    default=OPTIMIZERS[0],
    show_default=True,
    type=click.Choice(OPTIMIZERS),
    help="AdamW, or SGD with a Nesterov momentum of 0.9.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    metavar="RATE",
    help=f"The highest, from which it falls along a cosine; the head's is {HEAD_FACTOR} times "
    f"that while it learns alone.  {defaults(LEARNING_RATES)}",
)
@click.option(
    "--warmup",
    default=Options.warmup,
    show_default=True,
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="The share of the steps in which the rate rises to it.",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help=f"How much of each weight a step takes away, times the rate.  {defaults(WEIGHT_DECAYS)}",
)
@click.option(
    "--label-smoothing",
    default=Options.label_smoothing,
    show_default=True,
    type=click.FloatRange(0, 0.99),
    metavar="SHARE",
    help="How much of the truth is spread over all classes.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    metavar="N",
    help=f"Stop when so many epochs were no better.  [default: {PATIENCE}]",
)
@click.option(
    "--augment",
    default=Options.augment,
    show_default=True,
    type=click.FloatRange(0, 5),
    metavar="FACTOR",
    help="How much the pictures are varied; 1 is usual for photographs.",
)
@click.option("--no-augment", is_flag=True, help="Vary nothing, as --augment 0 does.")
@click.option(
    "--mixed-precision",
    default=MIXED[0],
    show_default=True,
    type=click.Choice(MIXED),
    help="Compute in float16 what allows that; auto: on GPUs.",
)
@click.option(
    "--seed",
    default=Options.seed,
    show_default=True,
    type=click.IntRange(0),
    help="The same seed holds out the same pictures.",
)
@click.option("--force", is_flag=True, help="Replace a network that is in OUT.")
@click.option("--restart", is_flag=True, help="Begin anew, though a stopped training could go on.")
@click.option(
    "-f", "--format", default="text", show_default=True, type=click.Choice(("text", "json"))
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@options.some_of_network("recipe", "fit", "filter", "window", "weights", "max_pixels", "offline")
def tune(**chosen: Any) -> int:
    """Fine-tune a network for your own classes.

    DIR holds a folder of pictures for each class, named after it. First a new head learns to
    tell them, then the top blocks of the network with it; the weights of the epoch that was
    best on the held-out pictures are kept. OUT becomes a network for every command, by
    --model OUT, with the curves of the training in it. A training that was stopped, however,
    goes on with the same command.

    It needs the extra topfive[tune] and Keras's backend: topfive[tensorflow], [jax] or [torch].
    `topfive teach` does without, in a minute.
    """
    return run(**chosen)


def run(
    folder: str, out: Path, format: str, quiet: bool, split: float | None,
    validation: Path | None, augment: float, no_augment: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Train, show how it goes, print what came of it, and return the exit status."""
    if validation is not None and split is not None:
        raise click.UsageError("give one of --validation and --split")
    names = {one.name for one in fields(Options)} & chosen.keys()
    asked = Options(
        augment=0.0 if no_augment else augment, **{name: chosen.pop(name) for name in names}
    )
    from topfive.cli import tune_text
    from topfive.training import tune as tuning

    return_memory()
    with tune_text.terminal(quiet) as listener:
        try:
            tuned = tuning.tune(
                folder, out, options=asked, validation=validation,
                split=SPLIT if split is None else split, listener=listener, **chosen,
            )  # fmt: skip
        except KeyboardInterrupt:
            listener.warn(tune_text.goes_on(len(listener.history), chosen["restart"]))
            raise
    if format == "json":
        write(json.dumps(tuned.to_dict(), indent=1) + "\n")
    else:
        write(tune_text.describe(tuned, str(out)) + "\n")
    return 1 if tuned.unreadable else 0
