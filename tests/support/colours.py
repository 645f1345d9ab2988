"""Contrast of two colours as WCAG 2.1 has it."""

from __future__ import annotations

Colour = tuple[float, float, float]


def rgb(text: str) -> Colour:
    return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def mix(front: Colour, back: Colour, alpha: float) -> Colour:
    return tuple(alpha * f + (1 - alpha) * b for f, b in zip(front, back, strict=True))  # type: ignore[return-value]


def luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
