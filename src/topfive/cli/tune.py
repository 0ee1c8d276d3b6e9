"""`topfive tune`, and what it shares with `topfive train`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from topfive.cli import options, terminal
from topfive.networks.cards import KERAS_BACKENDS
from topfive.system.processes import return_memory
from topfive.training.options import (
    ALL,
    EPOCHS,
    HEAD_EPOCHS,
    HEAD_FACTOR,
    LEARNING_RATES,
    MIXED,
    OPTIMIZERS,
    PATIENCE,
    SPLIT,
    WEIGHT_DECAYS,
    Options,
)


def blocks(value: object) -> int | str:
    """Return a number of blocks, or `ALL`, from what was written."""
    text = str(value)
    if text != ALL and not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number of blocks nor {ALL!r}.")
    return ALL if text == ALL else int(text)


def by_optimizer(values: dict[str, float]) -> str:
    """Return what a help page says of a default that depends on the optimizer."""
    return f"[default: {', '.join(f'{value:g} for {name}' for name, value in values.items())}]"


def epochs(text: str, default: int, least: int = 0) -> options.Option:
    """Return the option that says how long to train."""
    told = f"{text}  [default: {default}]"
    return click.option("--epochs", type=click.IntRange(least), metavar="N", help=told)


def learning_rate(text: str, defaults: dict[str, float]) -> options.Option:
    """Return the option that says how fast to learn."""
    rate, told = click.FloatRange(0, min_open=True), f"{text}  {by_optimizer(defaults)}"
    return click.option("--learning-rate", type=rate, metavar="RATE", help=told)


def patience(default: int | str) -> options.Option:
    """Return the option that says when to stop early."""
    told = f"Stop after N epochs without an improvement.  [default: {default}]"
    return click.option("--patience", type=click.IntRange(1), metavar="N", help=told)


_PLACES = (
    click.argument("folder", metavar="DIR"),
    click.option(
        "-o",
        "--output",
        "out",
        required=True,
        type=options.PATH,
        metavar="OUT",
        help="The folder for the new network.",
    ),
    options.model,
    click.option(
        "--backend",
        default=KERAS_BACKENDS[0],
        type=click.Choice(KERAS_BACKENDS),
        help="The Keras backend to train with.",
    ),
    click.option(
        "--validation",
        type=options.PATH,
        metavar="DIR",
        help="Hold out the pictures in another folder like DIR.",
    ),
    click.option(
        "--split",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help=f"Hold out this share of each class in DIR.  [default: {SPLIT}]",
    ),
)
_STEPS = (
    click.option(
        "--batch", default=Options.batch, type=click.IntRange(1), metavar="N", help="Batch size."
    ),
    click.option(
        "--optimizer",
        default=OPTIMIZERS[0],
        type=click.Choice(OPTIMIZERS),
        help="AdamW, or SGD with Nesterov momentum 0.9.",
    ),
)
_REGULARISATION = (
    click.option(
        "--warmup",
        default=Options.warmup,
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help="The share of steps in which the learning rate rises to its peak.",
    ),
    click.option(
        "--weight-decay",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help=f"Weight decay per step, times the learning rate.  {by_optimizer(WEIGHT_DECAYS)}",
    ),
    click.option(
        "--label-smoothing",
        default=Options.label_smoothing,
        type=click.FloatRange(0, 0.99),
        metavar="SHARE",
        help="How much of the target probability is spread over all classes.",
    ),
)
_RUN = (
    click.option(
        "--augment",
        default=Options.augment,
        type=click.FloatRange(0, 5),
        metavar="FACTOR",
        help="Strength of data augmentation. 1 is usual for photographs.",
    ),
    click.option("--no-augment", is_flag=True, help="No data augmentation, as --augment 0."),
    click.option(
        "--mixed-precision",
        default=MIXED[0],
        type=click.Choice(MIXED),
        help="Compute in float16 where possible. auto: only on GPUs.",
    ),
    click.option(
        "--seed",
        default=Options.seed,
        type=click.IntRange(0),
        metavar="N",
        help="The random seed. The same seed holds out the same pictures.",
    ),
    click.option("--force", is_flag=True, help="Replace an existing network in OUT."),
    click.option("--restart", is_flag=True, help="Start over, not where a training was stopped."),
    options.output_format("text", "json"),
    options.quiet,
)


def trains(
    *start: options.Option, rate: options.Option, patience: options.Option, network: tuple[str, ...]
) -> options.Option:
    """Return what adds the options of a training: how it begins, how fast it learns, when it
    stops, and which of the network's it has."""
    return options.adds(
        *_PLACES,
        *start,
        *_STEPS,
        rate,
        *_REGULARISATION,
        patience,
        *_RUN,
        options.some_of_network(*network),
    )


@click.command()
@trains(
    click.option(
        "--head-epochs",
        type=click.IntRange(0),
        metavar="N",
        help=f"First train the head alone for at most N epochs.  [default: {HEAD_EPOCHS}]",
    ),
    epochs("Then train the top blocks, too, for at most N epochs.", EPOCHS),
    click.option(
        "--unfreeze",
        default=Options.unfreeze,
        type=blocks,
        metavar="N|all",
        help="The number of top blocks to train.",
    ),
    rate=learning_rate(
        "The peak learning rate, from which it falls along a cosine. The head alone learns with "
        f"{HEAD_FACTOR} times that.",
        LEARNING_RATES,
    ),
    patience=patience(PATIENCE),
    network=("recipe", "fit", "filter", "window", "weights", "max_pixels", "offline"),
)
def tune(**chosen: Any) -> int:
    """Fine-tune a network on your own classes.

    DIR has a folder of pictures for each class, named after the class. First a new head is
    trained alone, then the top blocks of the network with it. The weights of the epoch that
    was best on the held-out pictures are kept.

    OUT is the new network. All commands take it as --model. The training curves are in it. If
    a training is stopped, the same command continues it.

    This needs the extra topfive[tune] and a Keras backend: topfive[tensorflow], topfive[jax]
    or topfive[torch]. `topfive teach` needs neither, and takes seconds.

    \b
    Examples:
      topfive tune photos/ -o mynet
      topfive tune photos/ -o mynet -m resnet50 --unfreeze all
    """
    return run(**chosen)


def run(folder: str, out: Path, format: str, quiet: bool, **chosen: Any) -> int:
    """Train, show how it goes, print what came of it, and return the exit status."""
    if chosen["validation"] is not None and chosen["split"] is not None:
        raise click.UsageError("give one of --validation and --split")
    if chosen["split"] is None:
        chosen["split"] = SPLIT
    if chosen.pop("no_augment"):
        chosen["augment"] = 0.0
    names = {one.name for one in fields(Options)} & chosen.keys()
    asked = Options(**{name: chosen.pop(name) for name in names})
    from topfive.cli import tune_text
    from topfive.training import tune as tuning

    return_memory()
    with tune_text.show(quiet) as listener:
        try:
            tuned = tuning.tune(folder, out, options=asked, listener=listener, **chosen)
        except KeyboardInterrupt:
            listener.warn(tune_text.goes_on(len(listener.history), chosen["restart"]))
            raise
    if format == "json":
        terminal.write_json(tuned.to_dict())
    else:
        terminal.write(tune_text.describe(tuned, str(out)) + "\n")
    return 1 if tuned.unreadable else 0
