"""Write the table of ImageNet's classes and their WordNet ancestors.

    python scripts/make_hierarchy.py [/usr/share/wordnet/data.noun]

Source: WordNet 3.0's nouns (Debian's wordnet-base); an ImageNet id is `n` and the place of
the synset in that file. The format is that of wndb(5WN).
"""

from __future__ import annotations

import sys
from pathlib import Path

from topfive.networks import hierarchy, labels

ASSET = Path(__file__).parents[1] / "src" / "topfive" / "assets" / hierarchy.ASSET
HYPERNYM = ("@", "@i")  # a kind of; an instance of


def read_nouns(file: Path) -> dict[str, tuple[str, list[str]]]:
    """Return each synset's first word and the ids of its hypernyms."""
    nouns = {}
    for line in file.read_text("latin-1").splitlines():
        if line.startswith(" "):
            continue  # the licence
        fields = line.partition("|")[0].split()
        pointers = 4 + 2 * int(fields[3], 16)
        triples = zip(*(iter(fields[pointers + 1 :]),) * 4, strict=False)
        parents = [f"n{offset}" for symbol, offset, _, _ in triples if symbol in HYPERNYM]
        nouns[f"n{fields[0]}"] = (fields[4], parents)
    return nouns


def main(file: Path = Path("/usr/share/wordnet/data.noun")) -> None:
    """Keep the classes and everything above them."""
    nouns = read_nouns(file)
    wanted = [label.wnid for label in labels.load("imagenet")]
    seen: set[str] = set()
    while wanted:
        wnid = wanted.pop()
        if wnid not in seen:
            seen.add(wnid)
            wanted += nouns[wnid][1]
    rows = [f"{wnid}\t{nouns[wnid][0]}\t{','.join(nouns[wnid][1])}" for wnid in sorted(seen)]
    ASSET.write_text("\n".join(["wnid\tname\tparents", *rows]) + "\n", "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
