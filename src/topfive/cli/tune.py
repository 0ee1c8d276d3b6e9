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
    RANGES,
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


def setting(name: str, metavar: str, help: str) -> options.Option:
    """Return the option for a number of `Options`, with its range and its default."""
    return click.option(
        f"--{name.replace('_', '-')}",
        default=getattr(Options, name),
        type=click.FloatRange(*RANGES[name]),
        metavar=metavar,
        help=help,
    )


def trains(
    *start: options.Option,
    rate: str = "",
    rates: dict[str, float],
    patience: int | str,
    network: tuple[str, ...],
) -> options.Option:
    """Return what adds the options of a training. `start` says how it begins, `rate` what else
    is to be said of the learning rate, `rates` and `patience` what they are where nothing is
    said, `network` which of the network's options it has."""
    return options.adds(
        click.argument("folder", metavar="DIR"),
        options.path(
            "-o",
            "--output",
            "out",
            required=True,
            metavar="OUT",
            help="The folder for the new network.",
        ),
        options.model,
        options.choice("--backend", values=KERAS_BACKENDS, help="The Keras backend to train with."),
        options.path(
            "--validation", metavar="DIR", help="Hold out the pictures in another folder like DIR."
        ),
        options.share(
            "--split", help=f"Hold out this share of each class in DIR.  [default: {SPLIT}]"
        ),
        *start,
        options.number("--batch", default=Options.batch, help="Batch size."),
        options.choice(
            "--optimizer", values=OPTIMIZERS, help="AdamW, or SGD with Nesterov momentum 0.9."
        ),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, min_open=True),
            metavar="RATE",
            help="The peak learning rate, from which it falls along a cosine."
            f"{rate}  {by_optimizer(rates)}",
        ),
        setting(
            "warmup", "SHARE", "The share of steps in which the learning rate rises to its peak."
        ),
        setting(
            "weight_decay",
            "SHARE",
            f"Weight decay per step, times the learning rate.  {by_optimizer(WEIGHT_DECAYS)}",
        ),
        setting(
            "label_smoothing",
            "SHARE",
            "How much of the target probability is spread over all classes.",
        ),
        options.number(
            "--patience", help=f"Stop after N epochs without an improvement.  [default: {patience}]"
        ),
        setting("augment", "FACTOR", "Strength of data augmentation. 1 is usual for photographs."),
        options.flag("--no-augment", help="No data augmentation, as --augment 0."),
        options.choice(
            "--mixed-precision",
            values=MIXED,
            help="Compute in float16 where possible. auto: only on GPUs.",
        ),
        options.number(
            "--seed",
            default=Options.seed,
            type=click.IntRange(0),
            help="The random seed. The same seed holds out the same pictures.",
        ),
        options.flag("--force", help="Replace an existing network in OUT."),
        options.flag("--restart", help="Start over, not where a training was stopped."),
        options.output_format("text", "json"),
        options.quiet,
        options.some_of_network(*network),
    )


@click.command()
@trains(
    options.number(
        "--head-epochs",
        type=click.IntRange(0),
        help=f"First train the head alone for at most N epochs.  [default: {HEAD_EPOCHS}]",
    ),
    options.number(
        "--epochs",
        type=click.IntRange(0),
        help=f"Then train the top blocks, too, for at most N epochs.  [default: {EPOCHS}]",
    ),
    click.option(
        "--unfreeze",
        default=Options.unfreeze,
        type=blocks,
        metavar="N|all",
        help="The number of top blocks to train.",
    ),
    rate=f" The head alone learns with {HEAD_FACTOR} times that.",
    rates=LEARNING_RATES,
    patience=PATIENCE,
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
