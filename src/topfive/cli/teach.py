"""`topfive teach`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from topfive.cli import options
from topfive.cli.classify import write
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.results import Failure
    from topfive.teaching.collection import TeachingListener
    from topfive.teaching.correction_results import Corrected, History

# Of `teaching` and `extending`, which are not imported for a help page; a test compares them.
SPLIT = 0.2
COST = 2.0
CORRECTIONS = ("add", "forget", "undo", "history")
# What --add takes, too: how the network is run, not what it is.
RUNNING = {"device", "threads", "max_pixels", "offline"}


@click.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "-o", "--output", "out", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where the new network goes: a folder, whose name becomes the network's.",
)  # fmt: skip
@options.model
@click.option(
    "--validation", type=click.Path(path_type=Path), metavar="DIR2",
    help="Measure on the pictures in DIR2, a folder like DIR.",
)  # fmt: skip
@click.option(
    "--split", default=SPLIT, show_default=True, type=click.FloatRange(0, 1, max_open=True),
    help="Hold out this share of each class and measure on it; 0 measures by cross-validation.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0),
    help="Which pictures are held out: the same for the same seed.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the network in FOLDER.")
@click.option(
    "--extend", is_flag=True, help="Keep the classes of the network and append those in DIR."
)
@click.option(
    "--old", metavar="DIR3",
    help="With --extend: pictures of the old classes, which are to stay what they are.",
)  # fmt: skip
@click.option(
    "--cost", default=COST, show_default=True, type=click.FloatRange(0, 100, max_open=True),
    help="With --extend: the percentage of old pictures that may be lost to the new classes.",
)  # fmt: skip
@click.option(
    "--add", nargs=2, multiple=True, metavar="PICTURE CLASS",
    help="Correct the network in DIR: this picture is of that class, known or new.",
)  # fmt: skip
@click.option(
    "--forget", multiple=True, metavar="PICTURE",
    help="Correct the network in DIR: it was wrong to teach it this picture.",
)  # fmt: skip
@click.option("--undo", is_flag=True, help="Take the last correction of the network in DIR back.")
@click.option("--history", is_flag=True, help="Show the corrections of the network in DIR.")
@click.option(
    "-f", "--format", default="text", show_default=True, type=click.Choice(("text", "json"))
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@options.some_of_network(
    "recipe", "fit", "filter", "window", "weights", "device", "threads", "max_pixels", "offline"
)
@click.pass_context
def teach(context: click.Context, /, folder: str, format: str, quiet: bool, **chosen: Any) -> int:
    """Teach a network classes of your own, in seconds.

    DIR holds a folder of pictures for each class. What the network sees in them is computed
    once and kept; a regression tells the classes by it. The new network is a folder that every
    command takes for --model. A network in DIR is corrected with --add and --forget.
    """
    default = ParameterSource.DEFAULT
    given = {name for name in chosen if context.get_parameter_source(name) != default}
    kind = check(folder, given)
    return_memory()
    with terminal(quiet) as listener:
        if kind is not None:
            result, text = _corrected(folder, kind, chosen, listener)
        else:
            result, text = _taught(folder, chosen, listener)
    write(json.dumps(result.to_dict(), indent=1) + "\n" if format == "json" else text)
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


def _taught(folder: str, chosen: dict[str, Any], listener: TeachingListener) -> tuple[Any, str]:
    making = {name: value for name, value in chosen.items() if name not in CORRECTIONS}
    old, cost, extend = (making.pop(name) for name in ("old", "cost", "extend"))
    if extend:
        from topfive.cli import teach_text
        from topfive.teaching import extend as extending

        result = extending.extend(folder, old, cost=cost, listener=listener, **making)
        return result, teach_text.describe_extension(result)
    from topfive.cli.teach_text import describe
    from topfive.teaching import teach as teaching

    taught = teaching.teach(folder, listener=listener, **making)
    return taught, describe(taught)


def _corrected(
    folder: str, kind: str, chosen: dict[str, Any], listener: TeachingListener
) -> tuple[Any, str]:
    from topfive.cli import teach_text
    from topfive.teaching import correct

    place = Path(folder)
    result: Corrected | History
    if kind == "add":
        running = {name: chosen[name] for name in RUNNING}
        result = correct.add(place, chosen["add"], listener=listener, **running)
    elif kind == "forget":
        result = correct.forget(place, chosen["forget"])
    else:
        result = correct.undo(place) if kind == "undo" else correct.history(place)
    return result, teach_text.describe_corrections(result)


@contextmanager
def terminal(quiet: bool) -> Iterator[TeachingListener]:
    """Give what shows on standard error how the reading goes on: a bar for each folder, each
    failure, each warning."""
    from topfive.system.progress import show_pictures
    from topfive.system.text import printable
    from topfive.teaching import collection

    def tell(text: str) -> None:
        print(f"topfive: {printable(text)}", file=sys.stderr, flush=True)

    class Terminal(collection.TeachingListener):
        def begin(self, total: int) -> None:
            self.shown = bar.enter_context(show_pictures(lambda: total, quiet))
            self.shown.begin(0)

        def add(self, source: str, failure: Failure | None) -> None:
            self.shown.step(failure is not None)
            if failure is not None:
                tell(f"{source}: {failure.message}")

        def end(self) -> None:
            bar.close()

        def warn(self, text: str) -> None:
            tell(text)

    with ExitStack() as bar:
        yield Terminal()
