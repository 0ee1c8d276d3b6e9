"""How a training is shown: while it goes on, and what came of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from topfive.cli import terminal
from topfive.networks.taught_cards import CARD
from topfive.system.progress import NEXT_LINES
from topfive.system.text import printable, shorten
from topfive.training import curves, tune

if TYPE_CHECKING:
    from topfive.training.tune import Tuned

SHOWN = 5  # confusions
LONGEST = 22  # letters of a name
SOON = 0.2  # share of an epoch that tells how long it takes, its slow first steps among it


class Shown(tune.TrainingListener):
    """Shows how a training goes by `tell`, which says a line for good, and by `change`, which
    shows a line for now and the share (0 to 1) that is done of the whole."""

    def __init__(self, tell: Callable[[str], None], change: Callable[[str, float], None]) -> None:
        self.tell, self.change = tell, change
        self.history: list[Mapping[str, Any]] = []
        self.resumed = self.total = 0
        self.phases: dict[str, int] = {}
        self.phase, self.seconds = "", 0.0
        self.start = monotonic()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Say what will be done."""
        self.phases = {one["phase"]: one["epochs"] for one in plan["phases"]}
        self.total, self.resumed = sum(self.phases.values()), plan["resumed_from"]
        for line in planned(plan):
            self.tell(line)
        self.start = monotonic()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Show how far the epoch is."""
        share = step / steps
        text = f"epoch {epoch} of {self.total}, step {step:,} of {steps:,}, loss {loss:.3f}"
        if share >= SOON:
            pace = max((monotonic() - self.start) / share, self.seconds)
            left = pace * (self.total - epoch + 1 - share)
            text += f", {timedelta(seconds=round(left))} left"
        self.change(text, (epoch - 1 + share) / self.total)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Say what an epoch gave, if it is of this session."""
        if row["phase"] != self.phase:  # the one before may have ended early
            self.phase, names = row["phase"], [*self.phases]
            following = names[names.index(row["phase"]) :]
            self.total = row["epoch"] - 1 + sum(self.phases[name] for name in following)
        self.history.append(row)
        if len(self.history) > self.resumed:
            self.tell(of_epoch(row, self.total))
            self.change("", len(self.history) / self.total)
            self.seconds = row["seconds"]
        self.start = monotonic()

    def warn(self, text: str) -> None:
        """Say it, however quiet the rest shall be."""
        terminal.tell(text)


@contextmanager
def show(quiet: bool) -> Iterator[Shown]:
    """Give what shows on standard error how a training goes: a bar on a terminal, elsewhere a
    line for each epoch, and within long ones a line a minute; nothing of that, if `quiet`."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = terminal.console(stderr=True)
    if quiet:
        yield Shown(lambda _: None, lambda *_: None)
    elif not console.is_terminal:
        yield Shown(_say, _now_and_then())
    else:
        text = TextColumn("{task.description}", markup=False)
        columns = SpinnerColumn(), BarColumn(bar_width=None), text
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("reading pictures", total=None)
            yield Shown(
                console.print,
                lambda text, share: bar.update(task, description=text, completed=share, total=1),
            )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _now_and_then() -> Callable[[str, float], None]:
    shown = monotonic()

    def change(text: str, _: float) -> None:
        nonlocal shown
        if text and monotonic() - shown >= NEXT_LINES:
            shown = monotonic()
            _say(text)

    return change


def planned(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is said before a training begins or goes on."""
    devices = ", ".join(map(str, plan["devices"]))
    mixed = ", mixed precision" if plan["mixed_precision"] else ""
    yield (
        f"{len(plan['classes']):,} classes, {plan['pictures']:,} pictures to learn from, "
        f"{plan['held_out']:,} held out"
    )
    yield f"{plan['backend']} on {printable(devices)}{mixed}, {plan['steps']:,} steps an epoch"
    for one in plan["phases"]:
        yield (
            f"{one['phase']}: {one['trainable']:,} parameters learn in up to {one['epochs']:,} "
            "epochs"
        )
    if plan["resumed_from"]:
        yield f"going on after epoch {plan['resumed_from']:,}"


def of_epoch(row: Mapping[str, Any], total: int) -> str:
    """Return what is said of an epoch."""
    return (
        f"{row['phase']} {row['epoch']:{len(str(total))}}/{total}: loss {row['loss']:.3f}, "
        f"{row['accuracy']:.1%} right; held out {row['val_loss']:.3f}, "
        f"{row['val_accuracy']:.1%} right; {_seconds(row['seconds'])}"
    )


def goes_on(done: int, restart: bool) -> str:
    """Return what is said when the user stops a training, of which so many epochs are done."""
    if not done:
        return "stopped before the first epoch was done"
    command = "the same command without --restart" if restart else "the same command"
    return f"stopped; {command} goes on after epoch {done}"


def describe(tuned: Tuned, folder: str) -> str:
    """Return what came of a training, and what can be done with the `folder` of the network, as
    a text within 80 columns, unless the folder's name is long."""
    found, best = tuned.accuracy, tuned.history[tuned.best_epoch - 1]
    way = "trained from scratch" if tuned.options.from_scratch else "fine-tuned"
    lines = [
        f"{tuned.backbone}, {way} for {len(tuned.classes):,} classes with {tuned.num_pictures:,} "
        "pictures",
        "",
        f"held out         {found.value:.1%} right (95 %: {found.low:.1%} to {found.high:.1%}), "
        f"{found.hits:,} of {found.of:,} pictures",
        f"best epoch       {tuned.best_epoch} of {len(tuned.history)} ({best['phase']}), chosen "
        "by these pictures",
        f"time             {_seconds(tuned.seconds)}",
    ]
    counts = (tuned.unreadable, "cannot be read"), (tuned.copies, "copies of others")
    if left_out := [f"{count:,} {why}" for count, why in counts if count]:
        lines.append(f"left out         {', '.join(left_out)}")
    for place, one in enumerate(tuned.confusions[:SHOWN]):
        title = "" if place else "taken wrongly"
        pair = tuned.classes[one.truth], tuned.classes[one.predicted]
        truth, answer = (shorten(name, LONGEST) for name in pair)
        times = "once" if one.count == 1 else f"{one.count:,} times"
        lines.append(f"{title:17}{truth} for {answer}, {times}")
    if len(tuned.confusions) > SHOWN:
        lines.append(f"{'':17}and {len(tuned.confusions) - SHOWN:,} other confusions")
    lines += [
        f"in the folder    {CARD}, {curves.TABLE}, {curves.PICTURE}, {curves.LOG}/",
        "",
        f"topfive classify PICTURE --model {printable(shlex.quote(folder))}",
        f"tensorboard --logdir {printable(shlex.quote(str(Path(folder) / curves.LOG)))}",
    ]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else str(timedelta(seconds=round(seconds)))
