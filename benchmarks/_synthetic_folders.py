"""Folders of rendered pictures unlike ImageNet: textures, drawings, spectrograms, cells and plots.

Each kind is a function that draws one picture of a class from a random generator. Classes differ in one property of the
picture, and every other property is random. So a network that was trained on photos has no ready answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 128
"""Width and height of a picture in pixels."""

Draw = Callable[[np.random.Generator, int], Image.Image]


def _image(gray: NDArray[np.float64], rng: np.random.Generator, noise: float) -> Image.Image:
    """Return gray values around 0 as a tinted picture with noise."""
    tint = rng.uniform(0.8, 1.2, 3)
    values = 128 + 50 * (gray + noise * rng.standard_normal(gray.shape))[..., None] * tint
    return Image.fromarray(np.clip(values + rng.uniform(-25, 25), 0, 255).astype(np.uint8))


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    return x, y


def texture(rng: np.random.Generator, label: int) -> Image.Image:
    """Return noise with a direction and a wavelength; the class is the wavelength."""
    wave = 5.0 * 1.25**label * rng.uniform(0.96, 1.04)
    angle = rng.uniform(0, np.pi)
    fx, fy = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE))
    u, v = fx * np.cos(angle) + fy * np.sin(angle), -fx * np.sin(angle) + fy * np.cos(angle)
    band = np.exp(-((np.abs(u) - 1 / wave) ** 2 + v**2) / (2 * 0.02**2))
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * band).real
    return _image(field / field.std(), rng, 0.8)


def drawing(rng: np.random.Generator, label: int) -> Image.Image:
    """Return outlines of one polygon among strokes; the class is the number of corners."""
    picture = Image.new("RGB", (SIDE, SIDE), tuple(int(c) for c in rng.integers(215, 256, 3)))
    pen = ImageDraw.Draw(picture)
    corners = label + 3
    center, radius, turn = rng.uniform(45, 83, 2), rng.uniform(22, 40), rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * (np.arange(corners) + rng.uniform(-0.12, 0.12, corners)) / corners
    points = [tuple(center + radius * np.array([np.cos(a), np.sin(a)])) for a in angles]
    ink = tuple(int(c) for c in rng.integers(0, 90, 3))
    pen.line([*points, points[0]], fill=ink, width=2)
    for _ in range(5):
        start, step = rng.uniform(0, SIDE, 2), rng.uniform(-30, 30, 2)
        pen.line([tuple(start), tuple(start + step)], fill=ink, width=2)
    return picture


def spectrogram(rng: np.random.Generator, label: int) -> Image.Image:
    """Return a chirp with overtones in noise; the class is the shape of the chirp."""
    x, y = _grid()
    t, start, sweep = x / SIDE, rng.uniform(15, 35), rng.uniform(15, 35)
    shapes = (t, 1 - t, 4 * (t - 0.5) ** 2, 1 - 4 * (t - 0.5) ** 2, 0.5 + 0.5 * np.sin(4 * np.pi * t))
    tone = start + sweep * shapes[label]
    gray = sum(np.exp(-((y - k * tone) ** 2) / (2 * 2.0**2)) / k for k in (1, 2, 3))
    gate = np.convolve(rng.uniform(0, 1, SIDE) > 0.35, np.ones(5) / 5, mode="same")
    return _image(2.2 * np.flipud(gray) * gate - 0.6, rng, 0.9)


def cells(rng: np.random.Generator, label: int) -> Image.Image:
    """Return bright blobs on a dark ground; the class is how elongated they are."""
    x, y = _grid()
    gray = np.zeros((SIDE, SIDE))
    for _ in range(int(rng.integers(10, 22))):
        cx, cy, angle = rng.uniform(0, SIDE), rng.uniform(0, SIDE), rng.uniform(0, np.pi)
        ratio = (1.0 + 0.45 * label) * rng.uniform(0.9, 1.1)
        short = rng.uniform(3.0, 5.5) / np.sqrt(ratio)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        gray += rng.uniform(0.6, 1.2) * np.exp(-0.5 * ((u / (short * ratio)) ** 2 + (v / short) ** 2))
    return _image(2 * gray - 1.2, rng, 0.5)


def plot(rng: np.random.Generator, label: int) -> Image.Image:
    """Return a plotted wave over random axes; the class is its form: sine, square, triangle, saw."""
    picture = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    t = np.linspace(0, 1, 200)
    phase = (rng.uniform(2, 6) * t + rng.uniform(0, 1)) % 1
    forms = (np.sin(2 * np.pi * phase), np.sign(phase - 0.5), 4 * np.abs(phase - 0.5) - 1, 2 * phase - 1)
    wave = forms[label] + 0.25 * rng.standard_normal(len(t))
    left, top, width, height = *rng.uniform(4, 20, 2), rng.uniform(85, 104), rng.uniform(50, 100)
    points = [(left + width * a, top + height * (0.5 - 0.3 * b)) for a, b in zip(t, wave, strict=True)]
    pen.line(points, fill=tuple(int(c) for c in rng.integers(0, 150, 3)), width=int(rng.integers(1, 3)))
    pen.rectangle([left, top, left + width, min(top + height, SIDE - 2)], outline=(0, 0, 0))
    return picture


KINDS: dict[str, tuple[Draw, int]] = {
    "texture": (texture, 5),
    "drawing": (drawing, 4),
    "spectrogram": (spectrogram, 5),
    "cells": (cells, 4),
    "plot": (plot, 4),
}
"""Each kind's function, and its number of classes."""


def write_folder(kind: str, out: Path, *, per_class: int, seed: int) -> Path:
    """Write ``per_class`` pictures of each class of ``kind`` into ``out/CLASS``, and return ``out``."""
    draw, classes = KINDS[kind]
    for label in range(classes):
        folder = out / f"{kind}{label}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            rng = np.random.default_rng([seed, label, number])
            draw(rng, label).save(folder / f"{number:05}.png")
    return out
