"""The colours of figures, and the CSS variables under which a page may change them.

Ink is a grey that reads on white and on black; the others keep apart for every kind of colour
vision and stand out from both. Knows nothing of what they are used for.
"""

from __future__ import annotations

INK = "#6f7680"
"""Text, axes, and load: contrast 4.6 to white, 4.0 to #12151a (WCAG 2)."""

STRONG = "#3a414a"
"""Text on a tint, as dark as text gets; a page in the dark makes it light."""

BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
"""Three of the eight of Okabe and Ito, "Color Universal Design" (2008, jfly.uni-koeln.de/color): at least 3.4 to both."""

CSS_VARIABLES = {
    INK: "currentColor",
    STRONG: f"var(--ink,{STRONG})",
    BLUE: f"var(--blue,{BLUE})",
    VERMILION: f"var(--vermilion,{VERMILION})",
    GREEN: f"var(--green,{GREEN})",
}
"""What each colour becomes within a page."""
