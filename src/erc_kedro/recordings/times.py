"""Points in time as people and programs write them."""

import math
import re

# 12.5 | 12,5 | 01:02 | 00:01:02.500 | 00:01:02,500 | -00:00:01,000 | 0 days 00:00:01.5
_TIME = re.compile(r"(-?)(?:(\d{1,3}) days? )?(?:(?:(\d{1,5}):)?(\d{1,5}):)?(\d{1,10}(?:[.,]\d{0,12})?)")


def seconds(written: str) -> float | None:
    """A time in seconds; None for what is none. The decimal sign is a point or a comma."""
    match = _TIME.fullmatch(written.strip().replace("−", "-"))
    if match is None:
        return None
    sign, days, hours, minutes, rest = match.groups()
    last = float(rest.replace(",", "."))
    # A clock's minutes and seconds end at 59; 75:30 is said of longer recordings.
    if (minutes and last >= 60) or (hours and int(minutes) >= 60):
        return None
    value = 86_400 * int(days or 0) + 3600 * int(hours or 0) + 60 * int(minutes or 0) + last
    return -value if sign else value


def number(value: object) -> float | None:
    """A JSON number of seconds; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return seconds(value) if isinstance(value, str) else None
    # Of integers, Python makes some that no float can hold.
    return float(value) if abs(value) < 1e9 and math.isfinite(value) else None


def clock(at: float | None) -> str:
    """A time for people: 0:07.5, 1:02:03.0; "without time" for None."""
    if at is None:
        return "without time"
    tenths = round(abs(at) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{minutes}:{rest / 10:04.1f}" if not hours else f"{hours}:{minutes:02}:{rest / 10:04.1f}"
    return f"-{shown}" if at < 0 and tenths else shown
