"""The figures of the toys' model cards: ``python -m benchmarks.toys``."""
