"""`smarties sensors` on the command line."""

import json

import pytest

from smarties import errors
from smarties.cli import sensors
from smarties.spectrum import registry


def lines(capsys, *argv: str) -> list[str]:
    sensors.main(list(argv))
    return capsys.readouterr().out.splitlines()


def test_the_table_lists_every_sensor(capsys):
    header, *rows = lines(capsys)
    assert header.split() == ["name", "bands", "covers", "gsd", "title"]
    assert [row.split()[0] for row in rows] == sorted(registry.sensors())
    assert ["224", "414-2452", "nm", "30", "m"] == rows[0].split()[1:6]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("linear", "0.21 aerosol + 0.79 blue_1"), ("released", "0.79 aerosol + 0.21 blue_1")],
)
def test_one_sensor_says_its_mixing_in_words(capsys, rule, expected):
    text = lines(capsys, "landsat8-oli-tirs", "--rule", rule)
    (blue,) = (line for line in text if line.startswith("B2 "))
    assert blue.endswith(expected) and "482.04 / 60.04 nm" in blue
    (thermal,) = (line for line in text if line.startswith("B10 *"))
    assert thermal.endswith("none: no thermal range" if rule == "linear" else "0.99984 microwave_1")
    assert any("interpolated over wavelength from sentinel2-l2a" in line for line in text)


def test_json_reads_back(capsys):
    entry = json.loads("\n".join(lines(capsys, "sentinel1-grd", "--json")))
    assert [band.pop("mixing") for band in entry["bands"]] == ["microwave_1", "microwave_2"]
    assert registry.sensor_from_dict(entry, "json") == registry.sensor("sentinel1-grd")
    assert len(json.loads("\n".join(lines(capsys, "--json")))) == len(registry.sensors())


def test_a_file_of_ones_own_and_the_chart(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nbands:\n"
        "  - {name: pan, center: 600, fwhm: 200, statistics: {from: sentinel2-l2a}}\n"
    )
    assert any(line.startswith("pan ") for line in lines(capsys, str(path)))
    out = tmp_path / "chart.png"
    assert lines(capsys, str(path), "--chart", str(out)) == [f"wrote {out}"]
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["sentinel2"], "unknown sensor 'sentinel2': did you mean"),
        (["none.yaml"], "no such file: none.yaml"),
        (["rgb", "--rule", "released2"], "did you mean 'released'"),
        (["--spectrum", "smarties-v2"], "did you mean 'smarties-v1'"),
    ],
)
def test_mistakes_are_one_line(argv, expected):
    with pytest.raises(errors.UserError, match=expected):
        sensors.main(argv)


def test_options_are_not_abbreviated():
    with pytest.raises(SystemExit) as caught:
        sensors.main(["--js"])
    assert caught.value.code == 2
