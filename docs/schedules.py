"""Draw docs/schedules.png, the picture at the top of the README.

    python docs/schedules.py

The title of each panel is the call that it draws.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

import lrsched
from lrsched import plot

POSITIONS = 120
SIZE = 9.5
WSD = "WarmupStableDecay(\n    15, 65, 30)"
ROWS = [
    ["Inverse()", "InverseSqrt()", "InverseTime(0.05)", "Geometric(0.95)", "Exponential(0.03)"],
    ["StepDecay(0.5, 20)", "Piecewise([60], [1, 0.3])", "TimeDecay(0.002)", "Sawtooth(20)", "Triangular(20, 40)"],
    ["Linear(100)", "Polynomial(100, power=2)", "Cosine(100)", "Warmup(40)", "Ramp(0.01, 1, steps=100)"],
    ["OneCycle(120)", "CosineRestarts(15, mult=2)", "Values(a_list)", "Function(f)", WSD],
]
WARMED_UP = "Warmup(20)\n  .then(Cosine(90))"
RESTARTS = "Cosine(40).repeated(40)\n  * Geometric(0.6).every(40)"
PICTURE = "Pixels(image, steps=300)"
PLATEAU = 'PlateauSequence(\n    optimizer, Geometric(0.5),\n    on="patience")'
EPOCHS = 120


def main() -> None:
    """Draw all panels and save the figure next to this file."""
    figure = plot.figure(10.667, 7.2)
    grid = figure.add_gridspec(5, 20, height_ratios=(1, 1, 1, 1, 1.2))
    for i, row in enumerate(ROWS):
        for j, call in enumerate(row):
            sequence(figure.add_subplot(grid[i, 4 * j : 4 * j + 4]), call, x="" if i == 3 else None, y=j == 0)
    sequence(figure.add_subplot(grid[4, :4]), WARMED_UP, x="position k", colour=1)
    sequence(figure.add_subplot(grid[4, 4:8]), RESTARTS, x="position k", y=False, colour=1)
    picture(figure.add_subplot(grid[4, 8:11]), figure.add_subplot(grid[4, 11:15]))
    plateau(figure.add_subplot(grid[4, 15:]))
    plot.save(figure, Path(__file__).with_suffix(".png"))


def sequence(ax: Axes, call: str, *, x: str | None, y: bool = True, colour: int = 0) -> None:
    """Draw the sequence that a call makes. `x` and `y` are those of `panel`."""
    a_list = np.interp(np.arange(POSITIONS), [0, 16, 40, 64, 90, 119], [0.3, 0.9, 0.8, 0.35, 0.5, 0.1])
    made = eval(call.replace("\n", ""), {**vars(lrsched), "a_list": a_list, "f": wave})
    values = made.values(POSITIONS)
    panel(ax, call, POSITIONS, x, y)
    style = plot.line_style(colour)
    ax.plot(values, drawstyle="steps-post", **style)
    ax.fill_between(range(POSITIONS), values, step="post", color=style["color"], alpha=0.1, linewidth=0)


def wave(k: int) -> float:
    """Return the factor of a made-up schedule."""
    return (1 + np.cos(k / 8)) / (2 + k / 20)


def picture(left: Axes, right: Axes) -> None:
    """Draw a picture and the factors that its pixels become."""
    image = sunset()
    pixels = lrsched.Pixels(image, steps=300)
    plot.picture(image, pixels.values(300), axes=(left, right), xlabel="", ylabel="")
    left.set_title("image", loc="left", color=plot.INK, fontsize=SIZE)
    panel(right, PICTURE, 300, "step", False)


def plateau(ax: Axes) -> None:
    """Draw a made-up validation loss, which falls towards a floor set by the learning rate, and its advances."""
    losses, factors, events = [1.0], [1.0], []
    for _ in range(EPOCHS - 1):
        losses.append(losses[-1] + 0.3 * (0.25 + 0.55 * factors[-1] - losses[-1]))
        events = lrsched.preview(lrsched.Geometric(0.5), "patience", losses)
        factors.append(events[-1].new_lrs[0] if events else 1.0)
    panel(ax, PLATEAU, EPOCHS, "epoch", False)
    plot.events(ax, [event.epoch - 1 for event in events])
    ax.plot(losses, color=plot.GREY, linewidth=1.3)
    ax.plot(factors, drawstyle="steps-post", **plot.line_style(3))
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.text(EPOCHS, 0.57, "validation loss", color=plot.GREY, ha="right", fontsize=SIZE, bbox=background)
    ax.text(0, 0.3, "learning rate", color=plot.line_style(3)["color"], fontsize=SIZE, bbox=background)


def panel(ax: Axes, title: str, width: int, x: str | None, y: bool) -> None:
    """Style a small panel: positions 0 to `width`, labelled `x` (None hides the numbers), and factors from 0 to 1."""
    plot.frame(ax, title=title, xlabel=x or "")
    ax.set_title(title, loc="left", fontsize=SIZE, linespacing=1.2)
    ax.set(xlim=(-0.02 * width, width), ylim=(0, 1.06), xticks=np.linspace(0, width, 3), yticks=(0, 0.5, 1))
    ax.tick_params(labelbottom=x is not None, labelleft=y)


def sunset(width: int = 96, height: int = 72) -> np.ndarray:
    """Return a made-up picture of a sky, a sun and two hills: uint8, shape (height, width, 3)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : width / height : width * 1j]
    picture = (1 - y)[..., None] * (0.15, 0.25, 0.55) + y[..., None] * (1.0, 0.65, 0.3)
    picture[np.hypot(x - 0.85, y - 0.5) < 0.16] = (1.0, 0.95, 0.75)
    picture[y > 0.72 - 0.12 * np.sin(4 * x)] = (0.35, 0.22, 0.35)
    picture[y > 0.85 - 0.08 * np.sin(6 * x + 2)] = (0.12, 0.1, 0.2)
    return (255 * picture).round().astype(np.uint8)


if __name__ == "__main__":
    main()
