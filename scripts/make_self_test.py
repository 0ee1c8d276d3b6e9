"""Write the stored answers of `topfive.self_test`, computed by Keras + TensorFlow.

python scripts/make_self_test.py
"""

from __future__ import annotations

import json
from pathlib import Path

from topfive import self_test

ASSET = Path(__file__).parents[1] / "src" / "topfive" / "assets" / self_test.ASSET
NUM_CLASSES = 10


def main() -> None:
    """Keep each picture's most probable classes and their probabilities."""
    rows = self_test.answers("tensorflow")
    stored = [
        {str(i): round(float(row[i]), 6) for i in (-row).argsort()[:NUM_CLASSES]} for row in rows
    ]
    ASSET.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
