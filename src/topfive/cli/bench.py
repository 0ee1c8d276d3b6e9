"""`topfive bench`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.networks.cards import PRECISIONS

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.evaluation.bench import Configuration, Measurement, Turn
    from topfive.evaluation.bench_subjects import Subject


def listed(kind: Any) -> Callable[..., tuple[Any, ...]]:
    """Return a callback for an option that may be repeated, with commas between values, too;
    each is taken once."""

    def convert(
        context: click.Context, option: click.Parameter, texts: tuple[str, ...]
    ) -> tuple[Any, ...]:
        parts = [part for text in texts for part in text.split(",")]
        return tuple(dict.fromkeys(kind.convert(part, option, context) for part in parts))

    return convert


@click.command()
@click.option(
    "-m",
    "--model",
    "--network",
    "names",
    multiple=True,
    show_default=options.DEFAULT,
    metavar="NAME",
    help="The network; may be repeated.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=listed(click.Choice(PRECISIONS)),
    metavar="NAME,...",
    help=f"Of {', '.join(PRECISIONS)}.  [default: f32, and int8 of networks that were quantised]",
)
@click.option(
    "--threads",
    multiple=True,
    callback=listed(click.IntRange(1)),
    metavar="N,...",
    help="How many CPU threads OpenVINO uses.  [default: 1 and all]",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    callback=listed(click.IntRange(1)),
    default=("1,4,16",),
    show_default=True,
    metavar="N,...",
    help="How many pictures a call takes.",
)
@click.option(
    "--seconds",
    default=3.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="How long each turn of each measurement is.",
)
@click.option(
    "--runs", default=3, show_default=True, type=click.IntRange(1), help="How many turns each has."
)
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Other weights, of one network.")  # fmt: skip
@click.option("--random-weights", is_flag=True, help="Make weights up, which are as fast.")
@click.option("-f", "--format", default="text", show_default=True,
              type=click.Choice(("text", "json")))  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw pictures a second by batch and threads: .svg or .png.")  # fmt: skip
def bench(
    names: tuple[str, ...], precisions: tuple[str, ...],
    threads: tuple[int, ...], batches: tuple[int, ...], seconds: float, runs: int,
    weights: Path | None, random_weights: bool, format: str, output: Path | None,
) -> int:  # fmt: skip
    """Measure how fast networks answer on this machine's CPU.

    Latency is that of one picture at a time. Throughput is with as many calls at a time as
    OpenVINO wants. Reading pictures is no part of either. Each is compared with a matrix
    product in the same precision on as many threads, which shows what the machine can do:
    100 % is as fast as that. Measurements take turns, and medians are shown.

    Ctrl-C shows what was measured so far.
    """
    from topfive.evaluation import arithmetic, bench_plots, bench_subjects
    from topfive.evaluation import bench as library

    if output is not None:
        bench_plots.check(output)
    threads = threads or tuple(dict.fromkeys((1, arithmetic.num_cpus())))
    library.check_threads(threads)
    found = bench_subjects.find(names, precisions or None, weights, random_weights)
    turns: list[Turn] = []
    complete = False
    try:
        with progress() as show:
            show(0, 1, "making the graphs")
            with bench_subjects.subjects(found, weights) as ready:
                ways = library.configurations(ready, threads, batches)
                show(0, runs * len(ways), describe(ways[0]))
                for place, turn in enumerate(library.measure(ways, seconds, runs), start=1):
                    turns.append(turn)
                    following = ways[place % len(ways)]
                    show(place, runs * len(ways), describe(following))
        complete = True
    finally:
        if turns:
            measurements = library.summarise(turns)
            settings = {"seconds": seconds, "runs": runs, "complete": complete}
            if format == "json":
                told = library.to_dict(measurements, settings)
                click.echo(json.dumps(told, indent=1))
            else:
                print_tables(measurements, settings)
            if output is not None:
                bench_plots.write(output, measurements)
    return 0


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show on a terminal's standard error how many turns are done of how many, and which is
    next; elsewhere how many there are."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        said: list[int] = []

        def say(done: int, total: int, _: str) -> None:
            if done == 1 and not said:
                said.append(total)
                print(f"topfive: {total} turns", file=sys.stderr, flush=True)

        yield say
        return
    columns = (BarColumn(20), TextColumn("{task.description}"), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total, text: bar.update(
            task, completed=done, total=total, description=text
        )


def describe(way: Configuration) -> str:
    """Return a configuration in words."""
    subject, threads = way.subject, f"{way.threads} thread{'s' * (way.threads > 1)}"
    return f"{subject.network.name} {subject.precision}, {way.mode}, {threads}, batch {way.batch}"


def print_tables(measurements: Sequence[Measurement], settings: dict[str, Any]) -> None:
    """Print the machine, then two tables for each network, within 80 columns."""
    from rich.console import Console
    from rich.text import Text

    from topfive.evaluation import arithmetic
    from topfive.evaluation.bench import MODES

    here, console = arithmetic.machine(), Console(highlight=False)
    version = here["openvino"].partition("-")[0]
    turns = f"{settings['runs']} x {settings['seconds']:g} s each, medians"
    console.print(f"{here['cpu']}, {here['cpus']} CPUs, OpenVINO {version}", markup=False)
    console.print(turns if settings["complete"] else f"{turns}, as far as they were measured")
    console.print(f"%: of a matrix product in the same precision and threads, {arithmetic.SIDE}³")
    networks: dict[str, list[Measurement]] = {}
    for one in measurements:
        networks.setdefault(one.configuration.subject.network.name, []).append(one)
    for of_network in networks.values():
        console.print()
        console.print(Text(_title(of_network[0].configuration.subject), "bold"))
        for mode in MODES:
            shown = [one for one in of_network if one.configuration.mode == mode]
            if shown:
                console.print(_table(mode, shown))
        for precision, times in gains(of_network).items():
            console.print(f"{precision}: {times:.2f} times as many pictures a second as f32")


def gains(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Return how much faster than float32 each lower precision is at its best throughput."""
    from topfive.evaluation.bench import THROUGHPUT

    best: dict[str, float] = {}
    for one in measurements:
        way = one.configuration
        if way.mode == THROUGHPUT:
            best[way.subject.precision] = max(one.rate, best.get(way.subject.precision, 0.0))
    exact = best.pop("f32", None)
    return {precision: rate / exact for precision, rate in best.items()} if exact else {}


def _title(subject: Subject) -> str:
    from topfive.evaluation.bench_subjects import RANDOM

    work = f"{subject.multiply_adds / 1e9:.2f} billion multiply-adds a picture"
    made_up = ", random weights" if subject.weights == RANDOM else ""
    return f"{subject.network.title}: {work}{made_up}"


def _table(mode: str, measurements: Sequence[Measurement]) -> Table:
    """Return a table of one network's latencies or throughputs."""
    from rich.table import Table

    from topfive.evaluation.bench import LATENCY

    own = ("median ms", "p95 ms") if mode == LATENCY else ("batch", "pictures/s", "range")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(mode)
    for title in ("threads", *own, "GFLOP/s", "product", "%"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in measurements:
        way = one.configuration
        if mode == LATENCY:
            told = [f"{one.milliseconds:.1f}", f"{one.p95:.1f}"]
        else:
            spread = f"{_rate(one.slowest)}-{_rate(one.fastest)}"
            told = [str(way.batch), _rate(one.rate), spread]
        table.add_row(
            way.subject.precision, str(way.threads), *told, f"{one.operations / 1e9:.0f}",
            f"{one.limit / 1e9:.0f}", f"{one.share:.0%}",
        )  # fmt: skip
    return table


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"
