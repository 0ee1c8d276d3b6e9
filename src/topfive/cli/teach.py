"""`topfive teach`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from topfive.cli import options, terminal
from topfive.system.processes import return_memory
from topfive.teaching.options import COST, SPLIT

if TYPE_CHECKING:
    from topfive.teaching.correct import Corrected, History

CORRECTIONS = ("add", "forget", "undo", "history")
# What --add takes, too: how the network is run, not what it is.
RUNNING = {"device", "threads", "max_pixels", "offline"}


@click.command()
@click.argument("folder", metavar="DIR")
@options.path(
    "-o",
    "--output",
    "out",
    metavar="FOLDER",
    help="The folder for the new network. Its name becomes the network's name.",
)
@options.model
@options.path(
    "--validation",
    metavar="DIR2",
    help="Measure accuracy on the pictures in DIR2, a folder like DIR.",
)
@options.share(
    "--split",
    default=SPLIT,
    type=click.FloatRange(0, 1, max_open=True),
    help="Measure accuracy on this share of each class, held out. 0: by cross-validation.",
)
@options.number(
    "--seed",
    default=0,
    type=click.IntRange(0),
    help="The random seed by which pictures are held out.",
)
@options.flag("--force", help="Replace an existing network in FOLDER.")
@options.flag("--extend", help="Keep the classes of the network, and add those in DIR.")
@click.option(
    "--old",
    metavar="DIR3",
    help="With --extend: pictures of the old classes, which must still be recognised.",
)
@click.option(
    "--cost",
    default=COST,
    type=click.FloatRange(0, 100, max_open=True),
    metavar="PERCENT",
    help="With --extend: how many old pictures may be lost to the new classes.",
)
@click.option(
    "--add",
    nargs=2,
    multiple=True,
    metavar="PICTURE CLASS",
    help="Correct the network in DIR: PICTURE shows CLASS, which may be a new one.",
)
@click.option(
    "--forget",
    multiple=True,
    metavar="PICTURE",
    help="Correct the network in DIR: remove PICTURE from what it was taught.",
)
@options.flag("--undo", help="Undo the last correction of the network in DIR.")
@options.flag("--history", help="Show the corrections of the network in DIR.")
@options.output_format("text", "json")
@options.quiet
@options.all_of_network_but("backend", "precision")
@click.pass_context
def teach(context: click.Context, /, folder: str, format: str, quiet: bool, **chosen: Any) -> int:
    """Teach a network your own classes, in seconds.

    DIR has a folder of pictures for each class, named after the class. The network computes
    the features of the pictures, and a logistic regression learns the classes from them. The
    new network is a folder. All commands take it as --model.

    If DIR is such a network, you can correct it with --add and --forget.

    \b
    Examples:
      topfive teach photos/ -o mynet
      topfive classify photo.jpg --model mynet
      topfive teach mynet --add photo.jpg cat
    """
    default = ParameterSource.DEFAULT
    given = {name for name in chosen if context.get_parameter_source(name) != default}
    kind = check(folder, given)
    return_memory()
    with terminal.Terminal(quiet) as listener:
        result, text = (
            _corrected(Path(folder), kind, chosen, listener)
            if kind is not None
            else _taught(folder, chosen, listener)
        )
    if format == "json":
        terminal.write_json(result.to_dict())
    else:
        terminal.write(text)
    return 1 if getattr(result, "failures", ()) else 0


def check(folder: str, given: set[str]) -> str | None:
    """Return the correction that is asked for, None for a new network.

    Raises:
        click.UsageError: options do not go together; `given` are the names of those that were.
    """
    kinds = [name for name in CORRECTIONS if name in given]
    if len(kinds) > 1:
        raise click.UsageError(f"{_flags(kinds)}: one at a time")
    if kinds:
        running = RUNNING if kinds == ["add"] else set()
        if other := sorted(given - running - set(kinds)):
            raise click.UsageError(
                f"{_flags(kinds)} is for the network in {folder} as it was made; it does not go "
                f"with {_flags(other)}"
            )
        return kinds[0]
    if "out" not in given:
        is_network = (Path(folder) / "card.json").is_file()
        raise click.UsageError(
            f"{folder} holds a network: correct it with {_flags(CORRECTIONS)}"
            if is_network
            else "name a folder for the new network: -o FOLDER"
        )
    if "extend" in given and "old" not in given:
        raise click.UsageError("--extend needs --old DIR3, pictures of the old classes")
    if "extend" not in given and (alone := given & {"old", "cost"}):
        raise click.UsageError(f"{_flags(alone)}: only with --extend")
    if {"validation", "split"} <= given and "extend" not in given:
        raise click.UsageError("--validation holds out pictures of its own: leave --split away")
    return None


def _flags(names: Iterable[str]) -> str:
    special = {"out": "-o", "network": "--model"}
    return ", ".join(special.get(name, f"--{name.replace('_', '-')}") for name in names)


def _taught(folder: str, chosen: dict[str, Any], listener: terminal.Terminal) -> tuple[Any, str]:
    from topfive.cli import teach_text

    making = {name: value for name, value in chosen.items() if name not in CORRECTIONS}
    old, cost, extends = (making.pop(name) for name in ("old", "cost", "extend"))
    if extends:
        from topfive.teaching.extend import extend

        extended = extend(folder, old, cost=cost, listener=listener, **making)
        return extended, teach_text.describe_extension(extended)
    from topfive.teaching.teach import teach as learn

    taught = learn(folder, listener=listener, **making)
    return taught, teach_text.describe(taught)


def _corrected(
    place: Path, kind: str, chosen: dict[str, Any], listener: terminal.Terminal
) -> tuple[Any, str]:
    from topfive.cli import teach_text
    from topfive.teaching import correct

    result: Corrected | History
    if kind == "add":
        running = {name: chosen[name] for name in RUNNING}
        result = correct.add(place, chosen["add"], listener=listener, **running)
    elif kind == "forget":
        result = correct.forget(place, chosen["forget"])
    else:
        result = correct.undo(place) if kind == "undo" else correct.history(place)
    return result, teach_text.describe_corrections(result)
