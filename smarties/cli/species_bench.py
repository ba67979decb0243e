"""The part `species` of `smarties bench`."""

import argparse

from smarties.inference import benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what only this part asks."""
    group = parser.add_argument_group("of the part species")
    group.add_argument("--species", type=int, default=12_738, help="of the evaluation")
    group.add_argument("--sites", type=int, default=14_189, help="of the evaluation")
    group.add_argument("--places", type=int, default=16, help="to explain")
    group.add_argument("--squares", type=int, default=2, help="Latin squares")


def measure(given: argparse.Namespace) -> list[benchmark.Row]:
    """Returns metrics and Shapley values beside scikit-learn and shap."""
    from smarties.inference import species_benchmark  # needs scikit-learn

    return species_benchmark.compare(
        given.sites, given.species, given.places, given.squares, given.repeats
    )
