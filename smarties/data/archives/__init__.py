"""Published datasets by name: module and class of their readers."""

ARCHIVES: dict[str, tuple[str, str]] = {
    "bigearthnet-v1": ("smarties.data.archives.bigearthnet_v1", "BigEarthNetV1"),
    "bigearthnet-v2": ("smarties.data.archives.bigearthnet_v2", "BigEarthNetV2"),
    "bigearthnet-v2-lmdb": ("smarties.data.archives.bigearthnet_lmdb", "BigEarthNetLMDB"),
    "described": ("smarties.data.archives.described", "Described"),
    "s2-tiles": ("smarties.data.archives.s2_tiles", "S2Tiles"),
    "safe": ("smarties.data.archives.safe", "Safe"),
    "stac": ("smarties.data.archives.stac_items", "StacItems"),
    "dfc2020": ("smarties.data.archives.sen12ms", "Dfc2020"),
    "eurosat": ("smarties.data.archives.class_folders", "EuroSat"),
    "eurosat-rgb": ("smarties.data.archives.class_folders", "EuroSatRgb"),
    "fmow-pairs": ("smarties.data.archives.fmow", "Fmow"),
    "hls-burn-scars": ("smarties.data.archives.hls_burn_scars", "HlsBurnScars"),
    "majortom-core": ("smarties.data.archives.majortom", "MajorTom"),
    "resisc45": ("smarties.data.archives.class_folders", "Resisc45"),
    "sen12ms": ("smarties.data.archives.sen12ms", "Sen12Ms"),
    "sen1floods11": ("smarties.data.archives.sen1floods11", "Sen1Floods11"),
    "ssl4eo-s12": ("smarties.data.archives.ssl4eo", "Ssl4Eo"),
    "terramesh": ("smarties.data.archives.terramesh", "TerraMesh"),
    "uc-merced": ("smarties.data.archives.class_folders", "UcMerced"),
    "whu-rs19": ("smarties.data.archives.class_folders", "WhuRs19"),
}
