"""Which image of one sensor goes with which of another: the nearest in time, always the same."""

from collections.abc import Mapping

DAY = 86_400.0


def nearest(first: Mapping[str, float], second: Mapping[str, float], days: float) -> dict[str, str]:
    """Returns which of `second` goes with each of `first`; neither is used twice.

    The closest in time are joined first; ties go by name. Images without one near enough are left
    out.

    Args:
      first, second: seconds since 1970 by name.
      days: the most that two may be apart.
    """
    apart = sorted(
        (abs(when - other), name, match)
        for name, when in first.items()
        for match, other in second.items()
        if abs(when - other) <= days * DAY
    )
    found: dict[str, str] = {}
    used = set()
    for _, name, match in apart:
        if name not in found and match not in used:
            found[name] = match
            used.add(match)
    return {name: found[name] for name in sorted(found)}
