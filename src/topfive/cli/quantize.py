"""`topfive quantize`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.conversion.options import LOWER, PICTURES, QUANTISED
from topfive.networks.find import find_network
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.conversion.quantize import Quantized

MISSED = " !"


@click.command()
@click.argument("folder", metavar="DIR")
@options.model
@options.truth
@options.number(
    "--pictures",
    default=PICTURES,
    help="Use at most N pictures: a third, but at most 300, to quantize, the others to measure.",
)
@options.flag("--all-layers", help="Quantize all layers. This is faster, but less accurate.")
@options.flag("--force", help="Keep the network, however inaccurate it is.")
@options.output_format("text", "json")
@options.quiet
@click.option(
    "--precision",
    default=QUANTISED,
    type=click.Choice(LOWER),
    help="int8 makes a new network. bf16 and f16 only measure what the device computes.",
)
@options.all_of_network_but("backend", "precision", "threads")
def quantize(folder: str, network: str | None, format: str, quiet: bool, **chosen: Any) -> int:
    """Make a network faster with 8-bit or 16-bit arithmetic.

    DIR is a folder, an archive or a bucket with a few hundred pictures like those that you will
    classify. Some are used to quantize the network, the others to compare it with float32.

    The result is kept for use with --precision if its best class is that of float32 for at
    least 95 % of these pictures. If their classes are known, its top-5 accuracy must also be at
    most 1 point lower. int8 needs the extra topfive[int8].

    \b
    Examples:
      topfive quantize photos/ --model resnet50
      topfive classify photo.jpg --model resnet50 --precision int8
    """
    from topfive.conversion import quantize as quantisation

    return_memory()
    card = find_network(network)
    recipe = options.take_recipe(card, chosen)
    with terminal.Terminal(quiet) as listener:
        lowered = quantisation.quantize(folder, card, recipe=recipe, listener=listener, **chosen)
    if format == "json":
        terminal.write_json(lowered.to_dict())
    else:
        terminal.write(describe(lowered, card.reference) + "\n")
    return 1 if listener.failed else 0


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
    passed = {"top-1": (measured.top1, True), "top-5": (measured.top5, measured.accurate)}
    lines += [
        f"{name:14}{100 * one.exact.value:7.1f} %{100 * one.lower.value:7.1f} %  "
        f"{one.points:+.1f} points (95 %: {one.low:+.1f} to {one.high:+.1f}){_mark(enough)}"
        for name, (one, enough) in passed.items()
        if one is not None
    ]
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
