"""Published datasets by name: module and class of their readers."""

ARCHIVES: dict[str, tuple[str, str]] = {}
