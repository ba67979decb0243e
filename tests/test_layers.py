"""Imports point down the floors of the house, never up, and never across."""

import ast
from pathlib import Path

import pytest

FLOORS = (
    {"spectrum"},
    {"models", "losses", "metrics", "data"},
    {"tasks"},
    {"training", "inference", "interchange", "figures"},
    {"cli"},
)
LEVEL = {room: i for i, floor in enumerate(FLOORS) for room in floor}
PACKAGE = Path(__file__).parents[1] / "smarties"
FILES = sorted(p for room in LEVEL for p in (PACKAGE / room).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("smarties"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            yield from [a.name.split(".")[1] for a in node.names if a.name.startswith("smarties.")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_layers(path):
    room = path.relative_to(PACKAGE).parts[0]
    for other in imported(path):
        if other in LEVEL and other != room:
            assert LEVEL[other] < LEVEL[room], f"{room} imports {other}"
            if room == "training":
                assert other != "tasks", "training knows tasks only through its protocol"
