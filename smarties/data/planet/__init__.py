"""A simulated planet: places with land cover, season, climate and species, seen by any sensor."""
