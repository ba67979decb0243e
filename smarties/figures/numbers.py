"""Numbers as people read them."""


def short(value: float) -> str:
    """Returns a number in six characters or little more."""
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    if 100 <= abs(value) < 1e5:
        return f"{value:,.0f}"
    return f"{value:.3f}" if 0.001 <= abs(value) < 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Returns "2 d 3 h", "3 h 20 min", "4 min 5 s" or "6 s"."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    whole = round(seconds)
    at = next((i for i, (_, size) in enumerate(units) if whole >= size), len(units) - 1)
    parts = []
    for name, size in units[at : at + 2]:
        parts.append(f"{whole // size} {name}")
        whole %= size
    return " ".join(parts)
