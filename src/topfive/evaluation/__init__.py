"""How good, how sure, how fast, and what differs.

The ways in are `evaluate`, `compare`, `calibrate` and `bench`.
"""

__all__ = [
    "arithmetic",
    "bench",
    "bench_plots",
    "bench_subjects",
    "calibrate",
    "class_numbers",
    "compare",
    "compare_picture",
    "evaluate",
    "evaluations",
    "ground_truth",
    "metrics",
    "near_copies",
    "plots",
    "report",
    "report_tables",
    "review",
]
