"""The simulated planet: deterministic, balanced, and true to the physics it claims."""

import pickle

import numpy as np
import pytest

from smarties import errors
from smarties.data import sources
from smarties.data.planet import kinds, noise, radar, source, species, world
from smarties.data.planet import layout as layouts
from smarties.spectrum import registry

S2, S1 = "sentinel2-l2a", "sentinel1-grd"
COUNT = 150


@pytest.fixture(scope="module")
def examples() -> list[sources.Example]:
    planet = source.Planet(count=COUNT)
    return [planet[i] for i in range(COUNT)]


def same(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return np.array_equal(a, b) and getattr(a, "dtype", None) == getattr(b, "dtype", None)


def pixels(examples, cover: str, sensor: str = S2) -> np.ndarray:
    """Returns pixels [n, C] of a class, away from the edges of its patches."""
    wanted = source.LAND_COVER.index(cover)
    found = []
    for example in examples:
        is_class = example["land_cover"] == wanted
        inner = is_class.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                inner &= np.roll(is_class, step, axis)
        found.append(example["images"][sensor][inner])
    return np.concatenate(found).astype(float)


def ndvi(image: np.ndarray) -> np.ndarray:
    names = registry.sensor(S2).names
    red, infrared = (image[..., names.index(n)].astype(float) for n in ("B04", "B08"))
    return (infrared - red) / (infrared + red)


def test_example_is_a_pure_function_of_seed_and_index(examples):
    again = source.Planet(count=COUNT)
    for i in (7, 3, 7, 0):
        assert same(again[i], examples[i])
    assert same(source.Planet(first=5)[2], examples[7])
    assert same(pickle.loads(pickle.dumps(again))[3], examples[3])
    assert not same(source.Planet(seed=1)[3], examples[3])
    ids = {example["id"] for example in examples}
    assert len(ids) == COUNT and "planet-0-3" in ids


def test_a_sensors_image_does_not_depend_on_the_other_sensors(examples):
    planet = source.Planet(sensors=("rgb", S1), sizes={"rgb": 128})
    example = planet[4]
    assert np.array_equal(example["images"][S1], examples[4]["images"][S1])
    assert example["images"]["rgb"].shape == (128, 128, 3)
    for name in ("land_cover", "environment", "species", "labels"):
        assert np.array_equal(example[name], examples[4][name])


def test_examples_have_static_shapes(examples):
    shapes = {
        str({k: (np.shape(v), getattr(v, "dtype", None)) for k, v in e.items() if k != "images"})
        for e in examples
    }
    assert len(shapes) == 1
    first = examples[0]
    assert first["images"][S2].shape == (64, 64, 12) and first["images"][S2].dtype == np.uint16
    assert first["labels"].shape == (len(source.LAND_COVER),)
    assert first["environment"].shape == (len(source.ENVIRONMENT),)
    assert all(e["valid"][S2].all() and np.isfinite(e["environment"]).all() for e in examples)


@pytest.mark.parametrize("name", sorted(registry.sensors()))
def test_every_sensor_renders_within_its_plausible_range(name):
    sensor = registry.sensor(name)
    planet = source.Planet(sensors=(name,), count=12, size=32)
    stack = np.stack([planet[i]["images"][name] for i in range(12)])
    assert stack.shape == (12, 32, 32, len(sensor.bands))
    assert stack.dtype == np.dtype(sensor.bands[0].dtype)
    value = stack.astype(float).reshape(-1, len(sensor.bands))
    assert np.isfinite(value).all()
    for i, band in enumerate(sensor.bands):
        physical = value[:, i] * band.scale + band.offset
        low, high = {"reflectance": (-0.001, 1.7), "dB": (-40, 20), "K": (200, 350)}.get(
            band.unit, (0, 256)
        )
        assert low <= physical.min() and physical.max() <= high, band.name
        absorbed = band.center is not None and 1330 < band.center < 1420
        assert physical.std() > 0 or absorbed, band.name
        if band.nodata is not None:
            assert not (value[:, i] == band.nodata).any(), band.name


def test_water_is_dark_and_leaves_are_bright_in_the_infrared(examples):
    names = registry.sensor(S2).names
    water, trees = pixels(examples, "water"), pixels(examples, "broadleaf forest")
    assert np.median(water[:, names.index("B08")]) < 0.2 * np.median(trees[:, names.index("B08")])
    assert np.median(water[:, names.index("B11")]) < 200
    medians = {c: np.median(ndvi(pixels(examples, c))) for c in ("water", "bare", "conifer forest")}
    assert medians["water"] < 0 < medians["bare"] < 0.25 < 0.5 < medians["conifer forest"]


def test_radar_knows_water_towns_and_woods(examples):
    vv, vh = 0, 1
    by = {c: pixels(examples, c, S1) for c in ("water", "built-up", "conifer forest", "bare")}
    assert np.median(by["built-up"][:, vv]) > np.median(by["water"][:, vv]) + 8
    assert np.median(by["conifer forest"][:, vh]) > np.median(by["bare"][:, vh]) + 3


def test_speckle_has_the_looks_it_is_given():
    rng = np.random.default_rng(0)
    power = radar.speckle(np.full((2, 200, 200), 0.05, np.float32), radar.LOOKS, rng)
    looks = power.mean() ** 2 / power.var()
    assert power.mean() == pytest.approx(0.05, rel=0.02)
    assert looks == pytest.approx(radar.LOOKS, rel=0.08)


def test_open_water_shows_the_speckle_of_the_sensor(examples):
    lakes = [e for e in examples if (e["land_cover"] == 0).mean() > 0.45]
    looks = []
    for example in lakes:
        water = example["land_cover"] == 0
        for axis in (0, 1):
            water = water & np.roll(water, 4, axis) & np.roll(water, -4, axis)
        power = 10 ** (example["images"][S1][..., 0][water].astype(float) / 10)
        looks.append(power.mean() ** 2 / power.var())
    assert len(lakes) >= 5
    assert 0.6 * radar.LOOKS < np.median(looks) < 1.15 * radar.LOOKS


def test_sensors_agree_on_a_place_and_not_on_another():
    planet = source.Planet(sensors=("rgb", S2), count=12, sizes={"rgb": 128})
    at = registry.sensor(S2).names.index("B03")
    fine = [planet[i]["images"]["rgb"][..., 1].astype(float) for i in range(12)]
    green = [planet[i]["images"][S2][..., at].astype(float) for i in range(12)]
    small = [f.reshape(64, 2, 64, 2).mean((1, 3)) for f in fine]

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    there = [correlation(a, b) for a, b in zip(small, green, strict=True)]
    elsewhere = [abs(correlation(small[i], green[i - 5])) for i in range(12)]
    assert np.median(there) > 0.85 and np.median(elsewhere) < 0.3


def test_radar_shares_the_layout_of_its_place_only(examples):
    def explained(cover, image):
        """Share of variance that the classes of a map explain."""
        total = sum(
            (image[cover == c].mean() - image.mean()) ** 2 * (cover == c).mean()
            for c in np.unique(cover)
        )
        return total / image.var()

    varied = [e for e in examples if (np.bincount(e["land_cover"].ravel()) > 400).sum() >= 3]
    own = [explained(e["land_cover"], e["images"][S1][..., 1]) for e in varied]
    other = [
        explained(varied[i - 1]["land_cover"], varied[i]["images"][S1][..., 1])
        for i in range(len(varied))
    ]
    assert len(varied) > 12 and np.mean(own) > 3 * np.mean(other)


def test_crops_follow_the_season():
    start = kinds.NUMBERS["start"][kinds.number("maize", "cereal", "conifer")]
    end = kinds.NUMBERS["end"][kinds.number("maize", "cereal", "conifer")]
    winter, may, august = (kinds.growth(start, end, day) for day in (15.0, 135.0, 225.0))
    assert winter[0] < 0.1 and may[0] < 0.2 and august[0] > 0.9  # maize is sown in May
    assert may[1] > 0.9 and august[1] < 0.2  # cereals are cut in July
    assert np.array_equal(winter[2:], august[2:])
    assert world.season(-30.0, 10.0) == pytest.approx(world.season(30.0, 192.5))


def test_images_are_greener_in_summer():
    planet = source.Planet(sensors=(S2,), count=300)
    shares = {True: [], False: []}
    wanted = source.LAND_COVER.index("broadleaf forest")
    for i in range(300):
        place = world.place(0, i)
        if place.theme != wanted:
            continue
        example = planet[i]
        summer = 130 < world.season(place.lat, place.day) < 270
        woods = example["land_cover"] == wanted
        if woods.sum() > 500:
            shares[summer].append(np.median(ndvi(example["images"][S2])[woods]))
    assert np.median(shares[True]) > np.median(shares[False]) + 0.15


def test_species_depend_on_their_niche_and_on_nothing_else(examples):
    environment = np.stack([example["environment"] for example in examples])
    rng = np.random.default_rng(0)
    chance = species.suitability(environment)
    for e, name in enumerate(source.ENVIRONMENT):
        permuted = environment.copy()
        permuted[:, e] = rng.permutation(permuted[:, e])
        changed = np.abs(species.suitability(permuted) - chance).max(0) > 0.01
        niche = np.array([name in source.NICHES[s] for s in source.SPECIES])
        assert np.array_equal(changed, niche), name


def test_species_occur_where_they_should(examples):
    environment = np.stack([example["environment"] for example in examples])
    presence = np.stack([example["species"] for example in examples]).astype(float)
    chance = species.suitability(environment)
    likely = chance > 0.5
    assert presence[likely].mean() > 0.6 and presence[chance < 0.05].mean() < 0.05
    prevalence = presence.mean(0)
    assert (prevalence > 0.005).sum() >= 18 and prevalence.max() < 0.5


def test_classes_are_balanced(examples):
    shares = [np.bincount(e["land_cover"].ravel(), minlength=10) / 4096 for e in examples]
    dominant = np.bincount(np.argmax(shares, -1), minlength=10) / COUNT
    assert (dominant >= 0.04).sum() >= 8 and dominant.max() < 0.3
    for share, example in zip(shares, examples, strict=True):
        assert np.array_equal(share > 0.05, example["labels"].astype(bool))


def test_finer_raster_shows_the_same_place():
    place = world.place(0, 12)
    coarse, fine = (
        layouts.layout(place, noise.generator(0, 12, "layout"), noise.grid(n, 640.0)).cover
        for n in (128, 256)
    )
    assert (fine[1::2, 1::2] == coarse).mean() > 0.9


def test_gaps_cut_some_valid_masks():
    planet = source.Planet(sensors=(S1,), count=40, size=16, gaps=0.5)
    cut = [not planet[i]["valid"][S1].all() for i in range(40)]
    assert 8 < sum(cut) < 32


def test_identity_tells_planets_apart():
    assert source.Planet().identity() == source.Planet().identity()
    assert source.Planet().identity() != source.Planet(seed=1).identity()
    assert source.Planet().identity() != source.Planet(gsd=20).identity()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sensors": ("sentinel2-l2b",)}, "sentinel2-l2a"),
        ({"size": 0}, "size is 0"),
        ({"sizes": {"rgb": 128}}, "rgb"),
        ({"first": -1}, "first -1"),
    ],
)
def test_bad_arguments_get_one_clear_line(arguments, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        source.Planet(**arguments)
    assert "\n" not in str(caught.value)


def test_places_outside_the_count_are_refused():
    with pytest.raises(IndexError):
        source.Planet(count=3)[3]
