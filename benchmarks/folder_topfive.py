"""topfive's side of the benchmark of folders, a process of its own.

    python -m benchmarks.folder_topfive NETWORK WEIGHTS FOLDER [--seconds N | --answers N]

Prints the rate of `Classifier.rows` over the folder's files, again and again; or the answers
to the first N, prepared as the tutorial's script does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.folder_pictures import first
from benchmarks.folder_sides import Answer, Window, command_line, print_answers
from benchmarks.weight_files import own_file
from topfive import Classification, Classifier
from topfive.networks.find import find_network
from topfive.sources import arguments
from topfive.sources.source import Source


def endless(folder: Path) -> Iterator[Source]:
    """Yield the folder's files, and again."""
    while True:
        yield from arguments.read([str(folder)])


def classify(classifier: Classifier, found: Iterable[Path | Source]) -> Iterator[Answer]:
    """Yield the first class of each picture; none may be bad."""
    for source, row in classifier.rows(found):
        if not isinstance(row.result, Classification):
            raise SystemExit(f"{source.name}: {row.result.message}")
        yield row.result.predictions[0].index, row.result.predictions[0].probability


def main() -> None:
    """Do what the command line says."""
    options = command_line(__doc__.splitlines()[0]).parse_args()
    file = own_file(find_network(options.network), options.weights)
    if options.answers:
        classifier = Classifier(options.network, weights=file, throughput=True, recipe="tutorial")
        print_answers("topfive", classify(classifier, first(options.folder, options.answers)))
        return
    classifier = Classifier(options.network, weights=file, throughput=True)
    window = Window(options.seconds)
    for _ in classify(classifier, endless(options.folder)):
        if window.add(1):
            break
    print(window.report())


if __name__ == "__main__":
    main()
