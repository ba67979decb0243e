"""Every registered archive says what one has to know, on the command line and in the README."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from smarties import errors
from smarties.cli import data
from smarties.data import archives, sources

README = (Path(__file__).parents[3] / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(archives.ARCHIVES))
def test_the_card_is_complete_and_printed(name, capsys):
    card = sources.reader(name).CARD
    texts = {k: v for k, v in dataclasses.asdict(card).items() if k != "checksums"}
    assert all(isinstance(text, str) and text.strip() for text in texts.values())
    assert re.match("real files|(files|items|cubes) written", card.tested)
    assert all(re.match("(md5|sha256|sha1):[0-9a-f]+$", value) for value in card.checksums.values())
    data.main(["info", name])
    said = capsys.readouterr().out
    for text in (card.licence, card.citation, card.layout, card.units):
        for line in text.splitlines():
            assert line.strip() in said
    assert f"`{name}`" in README


def test_the_list_names_them_all(capsys):
    data.main(["list"])
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == sorted(archives.ARCHIVES)


@pytest.mark.parametrize("name", sorted(archives.ARCHIVES))
def test_a_folder_of_something_else_is_one_error(name, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    first = next(iter(inspect.signature(sources.reader(name)).parameters))
    with pytest.raises(errors.UserError):
        sources.source(name, **{first: str(tmp_path)})
