"""Pairs by name, date, season and footprint against plain searches; lists that cannot be edited."""

import datetime
import itertools
import random
import shutil

import numpy as np
import pytest

from smarties import errors
from smarties.data import pairing, pairs
from smarties.data.archives import described
from smarties.data.pairing import Pair, Record


def day(text):
    return datetime.datetime.fromisoformat(f"{text}T12:00:00+00:00").timestamp()


def shuffled(rule, first, second, **options):
    """Returns the rule's pairs, which no order of the records may change."""
    want = rule(first, second, **options)
    rng = random.Random(0)
    for _ in range(5):
        parts = [part and rng.sample(part, len(part)) for part in (first, second)]
        assert rule(*parts, **options) == want
    return [(pair.first, pair.second) for pair in want]


def test_equal_names():
    first = [Record(name) for name in ("c", "a", "b")]
    second = [Record(name) for name in ("b", "d", "a")]
    assert shuffled(pairing.by_name, first, second) == [("a", "a"), ("b", "b")]
    with pytest.raises(errors.UserError, match="a: the name appears twice"):
        pairing.by_name(first, [*second, Record("a")])


def test_the_nearest_date_of_a_place():
    first = [
        Record("rgb/1", "x", day("2016-05-01")),
        Record("rgb/2", "x", day("2017-05-01")),
        Record("rgb/3", "y", day("2016-05-01")),
        Record("rgb/4", "z", day("2016-05-01")),
        Record("rgb/5", "x"),
    ]
    second = [
        Record("s2/a", "x", day("2016-04-01")),
        Record("s2/b", "x", day("2016-05-20")),
        Record("s2/d", "y", day("2016-05-03")),
        Record("s2/c", "y", day("2016-04-29")),  # as near as d, and of the smaller name
        Record("s2/e", "y"),
    ]
    found = shuffled(pairing.by_date, first, second)
    assert found == [("rgb/1", "s2/b"), ("rgb/2", "s2/b"), ("rgb/3", "s2/c")]
    near = shuffled(pairing.by_date, first, second, days=19)
    assert near == [("rgb/1", "s2/b"), ("rgb/3", "s2/c")]
    assert shuffled(pairing.by_date, first, None) == [("rgb/1", "rgb/2"), ("rgb/2", "rgb/1")]
    alike = shuffled(pairing.by_date, first, first)  # two sources may well use one name
    assert alike[0] == ("rgb/1", "rgb/1") and len(alike) == 4


def test_seasons_are_centred_on_equinox_and_solstice():
    of = {"2020-03-20": 0, "2020-06-21": 1, "2020-09-22": 2, "2020-12-21": 3}
    for date, index in of.items():
        for shift in range(-40, 41):
            assert pairing.season(day(date) + shift * 86_400) == index, (date, shift)
    assert pairing.season(float("nan")) is None
    first = [Record("a", "p", day("2020-08-13")), Record("b", "p", day("2020-12-30"))]
    second = [
        Record("1", "p", day("2020-06-07")), Record("2", "p", day("2020-09-03")),
        Record("3", "p", day("2020-01-20")), Record("4", "q", day("2020-12-30")),
    ]  # fmt: skip
    assert shuffled(pairing.by_season, first, second) == [("a", "2"), ("b", "3")]
    assert shuffled(pairing.by_season, first, second, days=30) == [("a", "2")]


def test_footprints_as_a_plain_search_finds_them():
    rng = np.random.default_rng(0)

    def boxes(prefix, n):
        for i in range(n):
            west, south = rng.integers(0, 12), rng.integers(0, 12)
            width, height = rng.integers(1, 6, 2)
            yield Record(f"{prefix}{i:03d}", bounds=(west, south, west + width, south + height))

    first, second = list(boxes("a", 60)), list(boxes("b", 80))
    second.append(Record("b999", bounds=first[7].bounds))

    def overlap(one, other):
        w = min(one[2], other[2]) - max(one[0], other[0])
        h = min(one[3], other[3]) - max(one[1], other[1])
        shared = max(w, 0) * max(h, 0)
        areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
        return shared / (areas - shared)

    for threshold in (0.2, 0.5, 1.0):
        want = []
        for one in first:
            best = max(
                second, key=lambda o: (overlap(one.bounds, o.bounds), [-ord(c) for c in o.name])
            )
            if overlap(one.bounds, best.bounds) >= threshold:
                want.append((one.name, best.name))
        assert want and shuffled(pairing.by_overlap, first, second, threshold=threshold) == want


def test_footprints_meet_across_the_antimeridian():
    crossing = Record("c", bounds=(179.0, 0.0, -179.0, 1.0))
    east, west = Record("e", bounds=(-180, 0, -179, 1)), Record("w", bounds=(179, 0, 180, 1))
    unrolled = Record("u", bounds=(179.0, 0.0, 181.0, 1.0))
    for one, other in itertools.permutations((crossing, east, west, unrolled), 2):
        meet = {one.name, other.name} != {"e", "w"}
        assert bool(pairing.by_overlap([one], [other], threshold=0.4)) == meet, (one, other)
    far = Record("f", bounds=(0, 0, 1, 1))
    assert not pairing.by_overlap([far, Record("n")], [crossing, east, west, Record("m")])
    for bad in ((1, 1, 0, 0), (0, 0, 1, float("nan")), (0, 1, 1, 1)):
        with pytest.raises(errors.UserError, match="x: .* is no west, south, east, north"):
            pairing.by_overlap([far], [Record("x", bounds=bad)])
    with pytest.raises(errors.UserError, match="threshold is 0"):
        pairing.by_overlap([far], [far], threshold=0)


@pytest.mark.parametrize("rule", [pairing.by_date, pairing.by_season, pairing.by_overlap])
def test_splits_are_never_mixed(rule):
    def record(name, split):
        return Record(name, "p", day("2020-06-01"), (0, 0, 1, 1), split)

    first = [record("a", "train"), record("b", "test"), record("c", "")]
    second = [record("1", "test"), record("2", "train")]
    assert rule(first, second) == [
        Pair("a", "2", "train"), Pair("b", "1", "test"), Pair("c", "1", "test"),
    ]  # fmt: skip
    assert not pairing.by_name([record("a", "train")], [record("a", "test")])


RECORDS = [Record(f'p{i}/ä,"{i}"@0,0', f"p{i}", day("2020-06-01"), split="train") for i in range(4)]


def test_a_list_is_read_as_it_was_made(tmp_path):
    partners = [*RECORDS[:3], Record("left", "over")]
    made = pairs.make(tmp_path / "l.csv", RECORDS, partners, "name")
    assert made.alone == (1, 1) and len(made.pairs) == 3
    assert (
        made
        == pairs.read_list(tmp_path / "l.csv")
        == pairs.read_list(tmp_path / "l.csv", made.sha256)
    )
    assert [file.name for file in tmp_path.iterdir()] == ["l.csv"]
    again = pairs.make(tmp_path / "m.csv", RECORDS[::-1], partners[::-1], "name")
    assert again.sha256 == made.sha256
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "l.csv").read_bytes()
    second = [Record(f"q{i}", f"p{i}", day("2020-06-03")) for i in range(4)]
    dated = pairs.make(tmp_path / "m.csv", RECORDS, second, "date", days=3)
    assert dated.options == {"days": 3} and dated.sha256 != made.sha256
    with pytest.raises(errors.UserError, match="another list than the run's"):
        pairs.read_list(tmp_path / "m.csv", made.sha256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "dates"}, "unknown rule of pairs 'dates': did you mean 'date'"),
        ({"rule": "date", "day": 3}, "unknown option of rule date 'day': did you mean 'days'"),
        ({"rule": "overlap"}, "rule overlap finds no pair among 4 and 4 examples"),
    ],
)
def test_impossible_rules(tmp_path, arguments, message):
    with pytest.raises(errors.UserError, match=message):
        pairs.make(tmp_path / "l.csv", RECORDS, RECORDS, **arguments)
    assert not list(tmp_path.iterdir())


def test_an_edited_list_is_refused(tmp_path):
    file = tmp_path / "l.csv"
    pairs.make(file, RECORDS, RECORDS, "name")
    whole = file.read_bytes()
    for edited, message in (
        (whole.replace(b"p1", b"p2"), "edited or truncated"),
        (whole[:-5], "edited or truncated"),
        (whole.replace(b'"name"', b'"date"'), "edited or truncated"),
        (whole.split(b"\n", 1)[1], "no list of pairs: its first line"),
        (b"", "no list of pairs"),
        (b"\xff\n", "no text"),
    ):
        file.write_bytes(edited)
        with pytest.raises(errors.UserError, match=f"l.csv: .*{message}") as told:
            pairs.read_list(file)
        assert "\n" not in str(told.value)
    with pytest.raises(errors.UserError, match="none.csv: missing"):
        pairs.read_list(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("/etc/passwd", "a"), "'/etc/passwd' leaves its root"),
        (("a", "x/../../b"), "leaves its root"),
        (("a", "..\\b"), "leaves its root"),
        (("C:\\b", "a"), "leaves its root"),
        (("", "a"), "leaves its root"),
        (("a\nb", "a"), "cannot be printed"),
        (("ok", "a"), "ok is paired twice"),
    ],
)
def test_names_that_leave_their_root_or_come_twice(tmp_path, names, message, monkeypatch):
    bad = pairs.PairList((Pair("ok", "b"), Pair(*names)), "name", {})
    with pytest.raises(errors.UserError, match=message):
        pairs.write_list(tmp_path / "l.csv", bad)
    with monkeypatch.context() as patch:  # a list that another tool wrote
        patch.setattr(pairs, "_check", lambda *_: None)
        pairs.write_list(tmp_path / "l.csv", bad)
    with pytest.raises(errors.UserError, match=message):
        pairs.read_list(tmp_path / "l.csv")


def test_real_examples_of_two_archives(data_root, tmp_path):
    """Tiles of optical and radar scenes find their like by name, and by footprint."""
    found = {}
    for sensor, part in (("sentinel2-l2a", "S2L2A"), ("sentinel1-grd", "S1RTC")):
        root = tmp_path / part
        shutil.copytree(data_root / "s1s2_terramesh" / part, root / part)
        (root / "dataset.yaml").write_text(f"{{sensors: {{{sensor}: '{part}/*.tif'}}, tile: 112}}")
        source = described.Described(root)
        found[part], unreadable = pairing.records(source)
        assert len(found[part]) == 20 and not unreadable
    assert found["S2L2A"][0].place == found["S2L2A"][0].name.split("@")[0]
    west, south, east, north = found["S2L2A"][0].bounds
    assert -180 <= west < east <= 180 and 0.005 < north - south < 0.02
    same = pairs.make(tmp_path / "n.csv", *found.values(), "name")
    overlapping = pairs.make(tmp_path / "o.csv", *found.values(), "overlap", threshold=0.9)
    assert len(same.pairs) == 20 and same.pairs == overlapping.pairs
    (next((tmp_path / "S1RTC/S1RTC").glob("*.tif"))).write_bytes(b"")
    records, unreadable = pairing.records(source)
    assert len(records) == 16 and len(unreadable) == 4 and ".tif: missing" in unreadable[0]
