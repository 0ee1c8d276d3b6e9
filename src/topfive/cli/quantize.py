"""`topfive quantize`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.conversion.quantize import Quantized
    from topfive.results import Failure

# Of `quantisation`, which is not imported for a help page; a test compares them.
LOWER = ("bf16", "f16", "int8")
PICTURES = 1000
MISSED = " !"


@click.command()
@click.argument("folder", metavar="DIR")
@options.model
@options.truth
@click.option(
    "--pictures",
    default=PICTURES,
    show_default=True,
    type=click.IntRange(1),
    help="Use so many, chosen by their content: a third, at most 300, make the network; it is "
    "measured on the others.",
)
@click.option(
    "--all-layers",
    is_flag=True,
    help="Leave no layer in float32: faster, and it is made sooner, but loses more.",
)
@click.option("--force", is_flag=True, help="Keep the network, whatever it loses.")
@click.option("-f", "--format", default="text", show_default=True,
              type=click.Choice(("text", "json")))  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--precision",
    default="int8",
    show_default=True,
    type=click.Choice(LOWER),
    help="Make it in 8 bits, or measure what the device computes in.",
)
@options.some_of_network(
    "recipe", "fit", "filter", "window", "weights", "device", "max_pixels", "offline"
)
def quantize(
    folder: str, network: str | None, recipe: str, fit: str | None, filter: str | None,
    window: tuple[float, float] | None, weights: Path | None, format: str, quiet: bool,
    **chosen: Any,
) -> int:  # fmt: skip
    """Make a network faster in 8 bits, or try bf16 or f16, and measure what that loses.

    DIR holds some hundred pictures like those to be classified: a folder with all that is in
    it, an archive or a bucket. The network is kept for `--precision` if its first answer is
    float32's on 95 % of those that it was not made with or more and, where their classes are
    known, its top-5 accuracy is at most 1 point lower. 8 bits need the extra topfive[int8].
    """
    from topfive.conversion import quantize as quantisation
    from topfive.networks.cards import choose_recipe
    from topfive.networks.find import find_network

    return_memory()
    card = find_network(network)
    with terminal(quiet) as listener:
        lowered = quantisation.quantize(
            folder, card, recipe=choose_recipe(card, recipe, fit, filter, window), file=weights,
            listener=listener, **chosen,
        )  # fmt: skip
    if format == "json":
        print(json.dumps(lowered.to_dict(), indent=1))
    else:
        print(describe(lowered, card.reference))
    return 1 if listener.failed else 0


@contextmanager
def terminal(quiet: bool) -> Iterator[Any]:
    """Give what shows on standard error how the reading goes on: a bar, each failure."""
    from topfive.conversion import examples
    from topfive.system.progress import show_pictures
    from topfive.system.text import printable

    class Terminal(examples.ExampleListener):
        failed = False

        def begin(self, total: int) -> None:
            self.shown = bar.enter_context(show_pictures(lambda: total, quiet))
            self.shown.begin(0)

        def add(self, failure: Failure | None) -> None:
            if hasattr(self, "shown"):
                self.shown.step(failure is not None)
            if failure is not None:
                self.failed = True
                line = f"topfive: {printable(failure.source)}: {printable(failure.message)}"
                print(line, file=sys.stderr, flush=True)

        def end(self) -> None:
            bar.close()

    with ExitStack() as bar:
        yield Terminal()


def describe(lowered: Quantized, reference: str) -> str:
    """Return what was measured as a text within 80 columns, each figure beside its bar;
    `reference` is what the user calls the network."""
    measured = lowered.measurement
    made = f"made with {lowered.calibrating:,} pictures, " if lowered.calibrating else ""
    agreement = measured.agreement
    lines = [
        f"{lowered.network} in {lowered.precision}, {made}measured on {measured.pictures:,}"
        f"{' others' if made else ' pictures'}",
        f"recipe {lowered.recipe}, {lowered.device}",
        "",
        f"first answer as float32's {agreement.value:9.1%}  (95 %: {agreement.low:.1%} to "
        f"{agreement.high:.1%}){_mark(measured.agrees)}",
        f"of the five best in common{measured.overlap:9.1%}",
        f"probability elsewhere     {measured.shift:9.1%}",
        "",
        f"{'':14}{'float32':>9}{lowered.precision:>9}",
    ]
    lines += [
        f"{name:14}{100 * one.exact.value:7.1f} %{100 * one.lower.value:7.1f} %  "
        f"{one.points:+.1f} points (95 %: {one.low:+.1f} to {one.high:+.1f}){_mark(passed)}"
        for name, one, passed in (
            ("top-1", measured.top1, True), ("top-5", measured.top5, measured.accurate))
        if one is not None
    ]  # fmt: skip
    lines.append(
        f"{'pictures/s':14}{measured.rates[0]:9.1f}{measured.rates[1]:9.1f}  "
        f"{measured.faster:.2f} times float32"
    )
    if lowered.sizes and lowered.layers:
        exact, lower = (size / 1e6 for size in lowered.sizes)
        layers, of = lowered.layers
        lines.append(f"{'weights, MB':14}{exact:9.1f}{lower:9.1f}  {layers} of {of} layers")
    use = f"Use it with --model {shlex.quote(reference)} --precision {lowered.precision}"
    if not measured.admitted:
        use += f"; {MISSED.strip()} marks what falls short"
    return "\n".join([*lines, "", f"{use}."])


def _mark(passed: bool) -> str:
    return "" if passed else MISSED
