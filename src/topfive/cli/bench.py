"""`topfive bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.networks.cards import PRECISIONS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from topfive.evaluation.bench import Configuration, Measurement, Turn
    from topfive.evaluation.bench_subjects import Subject


def several(*names: str, type: Any, **how: Any) -> options.Option:
    """Return what adds an option that may be repeated, with commas between values, too; each is
    taken once."""

    def convert(
        context: click.Context, option: click.Parameter, texts: tuple[str, ...]
    ) -> tuple[Any, ...]:
        parts = [part for text in texts for part in text.split(",")]
        return tuple(dict.fromkeys(type.convert(part, option, context) for part in parts))

    return click.option(*names, multiple=True, callback=convert, **how)


@click.command()
@options.models(help="A network to measure. May be repeated.")
@several(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    show_default="f32, and int8 of quantized networks",
    metavar="NAME,...",
    help=f"Precisions to measure: {', '.join(PRECISIONS)}.",
)
@several(
    "--threads",
    type=click.IntRange(1),
    show_default="1 and all",
    metavar="N,...",
    help="Numbers of CPU threads to measure with.",
)
@several(
    "--batch",
    "batches",
    type=click.IntRange(1),
    default=("1,4,16",),
    metavar="N,...",
    help="Batch sizes to measure throughput with.",
)
@click.option(
    "--seconds",
    default=3.0,
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="How long each measurement takes.",
)
@options.number("--runs", default=3, help="How often each measurement is repeated.")
@options.path("--weights", help="Use the weights in FILE, for a single network.")
@options.flag("--random-weights", help="Use random weights. Speed is the same, no download.")
@options.output_format("text", "json")
@options.path(
    "-o", "--output", help="Also plot pictures per second by batch size and threads: .svg or .png."
)
@options.force
def bench(
    seconds: float, runs: int, format: str, output: Path | None, force: bool, **chosen: Any
) -> int:
    """Measure how fast networks run on this machine's CPU.

    Latency is the time for one picture at a time. Throughput is pictures per second, with as
    many parallel calls as OpenVINO recommends. Neither includes reading pictures.

    The column % compares both with a matrix product in the same precision and on as many
    threads: 100 % is as fast as that. Measurements take turns; the tables show medians.
    Ctrl-C shows the results so far.

    \b
    Examples:
      topfive bench
      topfive bench -m resnet50 --random-weights --precision f32,bf16
    """
    from topfive.evaluation import bench as library
    from topfive.evaluation import bench_plots

    if output is not None:
        bench_plots.check(output, force)
    turns: list[Turn] = []
    complete = False
    try:
        with progress() as show:
            library.bench(**chosen, seconds=seconds, runs=runs, turns=turns, progress=show)
        complete = True
    finally:
        if turns:
            measurements = library.summarise(turns)
            settings = {"seconds": seconds, "runs": runs, "complete": complete}
            if format == "json":
                terminal.write_json(library.to_dict(measurements, settings))
            else:
                print_tables(measurements, settings)
            if output is not None:
                bench_plots.write(output, measurements, force)
    return 0


@contextmanager
def progress() -> Iterator[Callable[[int, int, Configuration | None], None]]:
    """Show on a terminal's standard error how many turns are done of how many, and which is
    next; elsewhere how many there are."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:

        def say(done: int, total: int, _: Configuration | None) -> None:
            if done == 1:
                terminal.tell(f"{total} turns")

        yield say
        return
    columns = (BarColumn(20), TextColumn("{task.description}"), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total, way: bar.update(
            task, completed=done, total=total, description=describe(way)
        )


def describe(way: Configuration | None) -> str:
    """Return in words a configuration, or what comes before the first."""
    if way is None:
        return "making the graphs"
    subject, threads = way.subject, f"{way.threads} thread{'s' * (way.threads > 1)}"
    return f"{subject.network.name} {subject.precision}, {way.mode}, {threads}, batch {way.batch}"


def print_tables(measurements: Sequence[Measurement], settings: dict[str, Any]) -> None:
    """Print the machine, then two tables for each network, within 80 columns."""
    from rich.text import Text

    from topfive.evaluation import arithmetic
    from topfive.evaluation.bench import MODES

    here, console = arithmetic.describe_machine(), terminal.console()
    version = here["openvino"].partition("-")[0]
    turns = f"{settings['runs']} x {settings['seconds']:g} s each, medians"
    console.print(f"{here['cpu']}, {here['cpus']} CPUs, OpenVINO {version}")
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
    from topfive.evaluation.bench import LATENCY

    own = ("median ms", "p95 ms") if mode == LATENCY else ("batch", "pictures/s", "range")
    table = terminal.table(mode, "threads", *own, "GFLOP/s", "product", "%", style="dim")
    for one in measurements:
        way = one.configuration
        if mode == LATENCY:
            told = [f"{one.milliseconds:.1f}", f"{one.p95:.1f}"]
        else:
            spread = f"{_rate(one.slowest)}-{_rate(one.fastest)}"
            told = [str(way.batch), _rate(one.rate), spread]
        told += [f"{one.operations / 1e9:.0f}", f"{one.limit / 1e9:.0f}", f"{one.share:.0%}"]
        table.add_row(way.subject.precision, str(way.threads), *told)
    return table


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"
