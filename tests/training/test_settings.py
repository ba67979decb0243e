"""The configuration: complete, refused when misspelt, and compared by what matters."""

import pytest
import toy

from smarties import errors
from smarties.training import settings


def test_defaults_are_filled_in_and_given_values_kept():
    config = settings.resolve(toy.config(optimizer__beta2=0.7))
    assert (config.optimizer.beta2, config.optimizer.beta1) == (0.7, 0.9)
    assert config.epochs is None and config.log.wandb is False


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("optimizer__learning_rat", "optimizer.learning_rate"),
        ("stepz", "steps"),
        ("mesh__dta", "mesh.data"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(key, suggestion):
    with pytest.raises(errors.UserError, match=f"did you mean '{suggestion}'"):
        settings.resolve(toy.config(**{key: 1}))


def test_resolving_twice_changes_nothing():
    once = settings.resolve(toy.config())
    assert settings.plain(settings.resolve(once)) == settings.plain(once)


def test_whole_numbers_are_floats_where_floats_are_meant():
    clip = settings.resolve(toy.config(optimizer__clip_norm=1)).optimizer.clip_norm
    assert type(clip) is float


def test_a_wrong_type_is_refused():
    with pytest.raises(errors.UserError, match="optimizer.beta1 is 'much': must be float"):
        settings.resolve(toy.config(optimizer__beta1="much"))


def test_what_is_free_to_change_on_resume():
    def fixed(**changes):
        return settings.fixed(settings.plain(settings.resolve(toy.config(**changes))))

    assert fixed() == fixed(mesh__fsdp=2, log__every=7, checkpoint__keep=9, data__workers=4)
    for change in ({"seed": 9}, {"optimizer__beta1": 0.5}, {"data__kind": "planet"}, {"steps": 13}):
        assert fixed() != fixed(**change)


def test_the_difference_names_the_key_and_both_values():
    old, new = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}
    assert settings.difference(old, new) == "a.c was 2 and is now 3"
    assert settings.difference(old, old) is None
