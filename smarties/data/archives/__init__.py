"""Published datasets by name: module and class of their readers."""

ARCHIVES: dict[str, tuple[str, str]] = {
    "bigearthnet-v1": ("smarties.data.archives.bigearthnet_v1", "BigEarthNetV1"),
    "bigearthnet-v2": ("smarties.data.archives.bigearthnet_v2", "BigEarthNetV2"),
    "bigearthnet-v2-lmdb": ("smarties.data.archives.bigearthnet_lmdb", "BigEarthNetLMDB"),
    "described": ("smarties.data.archives.described", "Described"),
    "s2-tiles": ("smarties.data.archives.s2_tiles", "S2Tiles"),
    "safe": ("smarties.data.archives.safe", "Safe"),
    "stac": ("smarties.data.archives.stac_items", "StacItems"),
}
