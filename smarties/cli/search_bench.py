"""The part `search` of `smarties bench`."""

import argparse

from smarties.inference import benchmark
from smarties.inference.index import approximate
from smarties.inference.index import benchmark as search_benchmark

K = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what only this part asks."""
    group = parser.add_argument_group("of the part search")
    group.add_argument("--vectors", type=int, default=590_326, help="of the archive")
    group.add_argument("--queries", type=int, default=10_000, help="at once")
    group.add_argument("--width", type=int, default=768, help="of vectors")
    group.add_argument(
        "--methods", type=lambda text: tuple(filter(None, text.split(","))), default=("ivf", "pq"),
        help=f"approximate, of {', '.join(approximate.KINDS)}",
    )  # fmt: skip


def measure(given: argparse.Namespace) -> list[benchmark.Row]:
    """Returns exact search beside FAISS, and approximate search beside exact."""
    return search_benchmark.compare(
        given.vectors, given.queries, given.width, K, given.repeats, given.methods
    )
