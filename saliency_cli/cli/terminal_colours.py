"""The Rich styles of the shades: a stronger shade is further from the terminal's background."""

import os

_BLUES = {
    "light": ("#e3eefb", "#c3dcf7", "#94c2f0", "#5b9fe3", "#1f6fbf", "#0b3f7d"),
    "dark": ("#1c2a3c", "#1f3a5c", "#24507f", "#2a68a8", "#7db8f2", "#cfe5ff"),
}
_ORANGES = {
    "light": ("#fdeedd", "#fbd9b5", "#f7b977", "#ee9336", "#a95204", "#6e3300"),
    "dark": ("#33261a", "#4f3413", "#7a4300", "#a35a00", "#f2a654", "#ffdcb0"),
}
"""Shades 1 to 6 by background, close to those of `templates/css/report.css`; in a palette of 256
colours they differ, too."""

_DARK_INK, _LIGHT_INK = "#16191d", "#ffffff"
_LIGHT_BACKGROUNDS = {"7", "15"}


def background() -> str:
    """Return `light` or `dark`: what COLORFGBG says, which some terminals set; else `dark`."""
    last = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if last in _LIGHT_BACKGROUNDS else "dark"


def styles(of: str) -> dict[str, str]:
    """Return the style of each shade on a `light` or a `dark` background.

    Blue (s) is for the target and orange (n) against it. Orange is underlined as well, so that the
    sign does not depend on colour alone.
    """
    near, far = (_DARK_INK, _LIGHT_INK) if of == "light" else (_LIGHT_INK, _DARK_INK)
    found = {"s0": ""}
    for sign, colours, line in (("s", _BLUES, ""), ("n", _ORANGES, "underline ")):
        for level, colour in enumerate(colours[of], start=1):
            weak = level < 5
            ink = near if weak else far
            found[f"{sign}{level}"] = f"{'' if weak else 'bold '}{line}{ink} on {colour}"
    return found
