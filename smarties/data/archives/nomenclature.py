"""CORINE land cover as BigEarthNet uses it: codes, the 43 names of v1, and the 19 classes.

The rule between them: Sumbul et al., "BigEarthNet-MM", 2021 (arXiv 2105.07921), and the metadata of
BigEarthNet v2.0. The order of the 19 classes is the official one, not the alphabetical one that
some tools use: a checkpoint has to say which it means.
"""

from collections.abc import Iterable

import numpy as np

from smarties import errors

# Level 3 of CORINE land cover 2018, as BigEarthNet v1 spells it.
NAMES = {
    111: "Continuous urban fabric",
    112: "Discontinuous urban fabric",
    121: "Industrial or commercial units",
    122: "Road and rail networks and associated land",
    123: "Port areas",
    124: "Airports",
    131: "Mineral extraction sites",
    132: "Dump sites",
    133: "Construction sites",
    141: "Green urban areas",
    142: "Sport and leisure facilities",
    211: "Non-irrigated arable land",
    212: "Permanently irrigated land",
    213: "Rice fields",
    221: "Vineyards",
    222: "Fruit trees and berry plantations",
    223: "Olive groves",
    231: "Pastures",
    241: "Annual crops associated with permanent crops",
    242: "Complex cultivation patterns",
    243: "Land principally occupied by agriculture, with significant areas of natural vegetation",
    244: "Agro-forestry areas",
    311: "Broad-leaved forest",
    312: "Coniferous forest",
    313: "Mixed forest",
    321: "Natural grassland",
    322: "Moors and heathland",
    323: "Sclerophyllous vegetation",
    324: "Transitional woodland/shrub",
    331: "Beaches, dunes, sands",
    332: "Bare rock",
    333: "Sparsely vegetated areas",
    334: "Burnt areas",
    335: "Glaciers and perpetual snow",
    411: "Inland marshes",
    412: "Peatbogs",
    421: "Salt marshes",
    422: "Salines",
    423: "Intertidal flats",
    511: "Water courses",
    512: "Water bodies",
    521: "Coastal lagoons",
    522: "Estuaries",
    523: "Sea and ocean",
    999: "Unlabelled",
}

# Glaciers do not occur in v1. Order: of the codes, which is that of the published indices.
CLASSES_43 = tuple(name for code, name in NAMES.items() if code not in (335, 999))

_GROUPS = {
    "Urban fabric": (111, 112),
    "Industrial or commercial units": (121,),
    "Arable land": (211, 212, 213),
    "Permanent crops": (221, 222, 223, 241),
    "Pastures": (231,),
    "Complex cultivation patterns": (242,),
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (
        243,
    ),
    "Agro-forestry areas": (244,),
    "Broad-leaved forest": (311,),
    "Coniferous forest": (312,),
    "Mixed forest": (313,),
    "Natural grassland and sparsely vegetated areas": (321, 333),
    "Moors, heathland and sclerophyllous vegetation": (322, 323),
    "Transitional woodland, shrub": (324,),
    "Beaches, dunes, sands": (331,),
    "Inland wetlands": (411, 412),
    "Coastal wetlands": (421, 422),
    "Inland waters": (511, 512),
    "Marine waters": (521, 522, 523),
}
CLASSES_19 = tuple(_GROUPS)
UNLABELLED = 255  # index of pixels whose code belongs to none of the 19 classes
MOST_UNLABELLED = 0.25  # share of the area from which a patch has no labels

_CODES = {name: code for code, name in NAMES.items()}
# The 43 names are spelt in more than one way between tools and CORINE itself.
_VARIANTS = {
    "Transitional woodland, shrub": "Transitional woodland/shrub",
    "Transitional woodland-shrub": "Transitional woodland/shrub",
    "Natural grasslands": "Natural grassland",
    "Peat bogs": "Peatbogs",
    "Bare rocks": "Bare rock",
}
_INDEX = np.full(1000, -1, np.int16)
_INDEX[list(NAMES)] = UNLABELLED
for _number, _codes in enumerate(_GROUPS.values()):
    _INDEX[list(_codes)] = _number


def code(name: str) -> int:
    """Returns the CORINE code of one of the 43 names, in any of its known spellings.

    Raises:
      UserError: an unknown name.
    """
    name = _VARIANTS.get(name, name)
    if name not in CLASSES_43:
        raise errors.unknown("label", name, CLASSES_43)
    return _CODES[name]


def labels_43(names: Iterable[str]) -> np.ndarray:
    """Returns uint8 [43], 1 where one of the 43 names is present. Raises as `code`."""
    labels = np.zeros(len(CLASSES_43), np.uint8)
    for name in names:
        labels[CLASSES_43.index(NAMES[code(name)])] = 1
    return labels


def labels_19(names: Iterable[str]) -> np.ndarray:
    """Returns uint8 [19] of v1's 43 names; 11 of them belong to no class, so it may be all 0.

    Raises as `code`.
    """
    return _present(np.array([code(name) for name in names], int))


def index_19(codes: np.ndarray, where: str = "reference map") -> np.ndarray:
    """Returns uint8 [H, W]: the index 0..18 of each pixel's class, 255 (`UNLABELLED`) elsewhere.

    Args:
      codes: CORINE codes [H, W].
      where: names them in errors.

    Raises:
      Unreadable: a number that is no CORINE code.
    """
    codes = np.asarray(codes, np.int64)
    known = (codes >= 0) & (codes < len(_INDEX))
    known &= _INDEX[np.where(known, codes, 0)] >= 0
    if not known.all():
        raise errors.Unreadable(
            f"{where}: {codes[~known][0]} is no CORINE land cover code (111..523, or 999)"
        )
    return _INDEX[codes].astype(np.uint8)


def map_labels(codes: np.ndarray, where: str = "reference map") -> np.ndarray | None:
    """Returns uint8 [19], the classes of a reference map; None where v2 keeps no such patch.

    A patch is kept where less than a quarter of its area is unlabelled.

    Args, Raises: as `index_19`.
    """
    index = index_19(codes, where)
    if np.mean(index == UNLABELLED) >= MOST_UNLABELLED:
        return None
    return _present(np.asarray(codes, int))


def _present(codes: np.ndarray) -> np.ndarray:
    index = _INDEX[codes]
    labels = np.zeros(len(CLASSES_19), np.uint8)
    labels[index[index != UNLABELLED]] = 1
    return labels
