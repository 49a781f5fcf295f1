"""Write docs/gallery.md and its pictures: every sequence, with its formula and who uses it.

    python docs/gallery.py

Descriptions, formulas and sources are those of the docstrings. What is written here: which call is drawn, and who uses
it. Each picture holds a digest of the factors that it shows, so that a test can tell when it is out of date.
"""

import hashlib
import inspect
import re
import textwrap
from pathlib import Path

import numpy as np

import lrsched
from lrsched import Sequence, plot

HERE = Path(__file__).parent
POSITIONS = 120
INTRODUCTION = """\
# Gallery

Every sequence in the package, and how to combine them. A sequence maps a position k = 0, 1, 2, … to a factor of
the base learning rate. Pass it to `SequenceLR(optimizer, sequence)`, stepped by batch or by epoch, or to
`PlateauSequence`, which advances when the validation loss stalls or rises. See also
[which schedule?](which_schedule.md).

`sequence.plot()` draws any of them, and a notebook shows the picture by itself. On the command line, use
`lrsched show cosine one-cycle -o out.png`.

This page is written by `python docs/gallery.py`.
"""

# Each entry: the call that is drawn, and who uses it and when.
SECTIONS = {
    "Warm-up, then down to an end": {
        "Warmup": (
            "Warmup(40)",
            "Nearly every training of a transformer, and large batches since Goyal et al. (2017). It keeps the first "
            "steps small, while Adam's averages are still rough.",
        ),
        "Cosine": (
            "Warmup(10).then(Cosine(100))",
            "GPT-3 (Brown et al. 2020) and LLaMA (Touvron et al. 2023), both down to a tenth (`end=0.1`); DeiT and MAE "
            "for images. Choose it if you know the number of steps. It is one cycle of SGDR, without restarts.",
        ),
        "Linear": (
            "Warmup(10).then(Linear(100))",
            "BERT (Devlin et al. 2019), after a warm-up; the default of Hugging Face's Trainer, and so of most "
            "fine-tuning done with it.",
        ),
        "Polynomial": (
            "Polynomial(100, power=0.9)",
            "Semantic segmentation: DeepLab (Chen et al. 2018) and PSPNet (Zhao et al. 2017), with power 0.9.",
        ),
        "OneCycle": (
            "OneCycle(110)",
            "fastai's `fit_one_cycle`; short training at a high rate. `OneCycleLR` also cycles the momentum, as in the "
            "publication. Step it after each batch.",
        ),
        "WarmupStableDecay": (
            'WarmupStableDecay(10, 70, 30, shape="sqrt")',
            "MiniCPM (Hu et al. 2024), with an exponential decay; Hägele et al. (2024) compare it with a cosine, and "
            "its decays with each other. Choose it if you do not know the number of steps yet: a checkpoint of the "
            "stable phase can be decayed, or trained further.",
        ),
        "Ramp": ("Ramp(0.01, 1, steps=100)", "Learning-rate range tests, such as `range_test` of this package."),
    },
    "Endless decays": {
        "Inverse": (
            "Inverse()",
            "Proofs that SGD converges, since Robbins & Monro (1951): Σf is infinite, Σf² is not.",
        ),
        "InverseSqrt": (
            "Warmup(10).then(InverseSqrt(10))",
            "The original Transformer (Vaswani et al. 2017), as drawn, with 4,000 instead of 10. T5 (Raffel et al. "
            "2020) holds its rate for 10,000 steps: `Constant().then(InverseSqrt(10_000), at=10_000)`. It does not "
            "need the number of steps.",
        ),
        "InverseTime": ("InverseTime(0.05)", "Older Keras code: `SGD(lr, decay=d)` is `InverseTime(d)`, by batch."),
        "Geometric": (
            "Geometric(0.95)",
            "torch's ExponentialLR. EfficientNet (Tan & Le 2019) multiplies by 0.97 every 2.4 epochs: "
            "`Geometric(0.97).every(n)` with n batches in between. `Geometric(0.5)` and `Geometric(0.1)` suit "
            '`PlateauSequence(…, on="patience")`.',
        ),
        "Exponential": ("Exponential(0.03)", "The same curve as `Geometric`, if you think in decay rates."),
        "StepDecay": (
            "StepDecay(0.5, 20)",
            "The formula of textbooks. To replace torch's StepLR, use `Geometric(d).every(r)`.",
        ),
        "TimeDecay": (
            "TimeDecay(0.002)",
            "Kept because it is published. For the usual time-based decay, 1/(1 + d·k), use `InverseTime`.",
        ),
    },
    "Cycles": {
        "CosineRestarts": (
            "CosineRestarts(15, mult=2)",
            "SGDR (Loshchilov & Hutter 2017); snapshot ensembles (Huang et al. 2017, arXiv:1704.00109), which keep the "
            "weights at the end of each cycle.",
        ),
        "Triangular": (
            "Triangular(20, 40)",
            "Cyclical learning rates (Smith 2017). A range test gives the limits for `CyclicLR`.",
        ),
        "Sawtooth": (
            "Sawtooth(20)",
            "Yang & Huang (2019): advanced by the cutoff rule, the most accurate of their settings on MNIST and the "
            "least accurate on CIFAR-10, in one run per setting.",
        ),
    },
    "Lists, functions and pictures": {
        "Constant": ("Constant()", "The baseline of every comparison, and the flat part of other schedules."),
        "Piecewise": (
            "Piecewise([50, 80], [1, 0.1, 0.01])",
            "ResNet on CIFAR-10 (He et al. 2016) divides the rate by 10 at 32,000 and 48,000 of 64,000 steps: "
            "`Piecewise([32_000, 48_000], [1, 0.1, 0.01])`.",
        ),
        "Values": (
            "Values(np.hanning(120))",
            "Factors from elsewhere: a file, a search, a list in a publication.",
        ),
        "Function": (
            "Function(lambda k: (1 + np.cos(k / 8)) / (2 + k / 20))",
            "What torch's LambdaLR does. The state holds the function's name; torch's state leaves the function out.",
        ),
        "Pixels": ("Pixels(picture, steps=300)", "For the curious. `ImageLR` follows it between two limits."),
    },
}
COMBINATORS = {
    "then": ("Warmup(20).then(Constant(), at=20).then(Linear(40), at=70)", "One schedule after another."),
    "*": (
        "Cosine(40).repeated(40) * Geometric(0.6).every(40)",
        "Restarts that get lower and lower; a warm-up times a decay.",
    ),
    "scaled": ("0.5 * Cosine(100)", "A smaller rate for one of several param groups."),
    "clipped": ("Cosine(100).clipped(low=0.2)", "A floor, or a ceiling."),
    "repeated": ("Linear(30).repeated(30)", "Cycles of any shape."),
    "delayed": ("Cosine(60).delayed(40)", "A flat start before a decay."),
    "skipped": ("Cosine(100).skipped(40)", "A run that joins a schedule midway."),
    "every": ("Geometric(0.7).every(20)", "A schedule by epochs in a loop that steps by batches."),
}


def main() -> None:
    """Write the page and its pictures next to this file."""
    (HERE / "gallery").mkdir(exist_ok=True)
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")
    for name, call in calls().items():
        sequence = made(call)
        ax = plot.figure(4.8, 1.7).add_subplot()
        sequence.plot(shown(sequence), ax=ax, label="")
        ax.set_ylim(0, 1.06)
        ax.figure.savefig(picture(name), metadata={"Factors": digest(sequence)})


def page() -> str:
    """Return the text of docs/gallery.md."""
    parts = [INTRODUCTION]
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name, (call, use) in entries.items():
            parts.append(entry(name, name, call, use, getattr(lrsched, name)))
    parts.append("## Combinations\n\nEach is a method of every sequence, or an operator, and returns a sequence.\n")
    for name, (call, use) in COMBINATORS.items():
        parts.append(entry(f".{name}()" if name != "*" else "a * b", name, call, use, getattr(Sequence, method(name))))
    return "\n".join(parts)


def entry(title: str, name: str, call: str, use: str, documented: object) -> str:
    """Return one entry: a heading, the picture and its call, the docstring's text and source, and the use."""
    text, source = described(documented)
    lines = [
        f"### {title}",
        f"![{call}](gallery/{picture(name).name})",
        f"`{call}`",
        *text,
        filled(f"**Use:** {use}"),
    ]
    if source:
        lines.append(filled(f"**Source:** {source}"))
    return "\n\n".join(lines) + "\n"


def described(documented: object) -> tuple[list[str], str]:
    """Return the paragraphs of a docstring that say what the thing is, without examples, and its source."""
    paragraphs = re.sub("^the ", "The ", inspect.getdoc(documented).removeprefix("Return ")).split("\n\n")
    text = [part for part in paragraphs if not re.match(r"Args:|Raises |>>> |The attribute |Source: ", part)]
    text = [re.split(r"\s+Raises ", part)[0] for part in text]
    sources = re.search(r"^Source: (.*?)(?=\n\n|\Z)", "\n\n".join(paragraphs), re.DOTALL | re.MULTILINE)
    return text, " ".join(sources.group(1).split()) if sources else ""


def filled(text: str) -> str:
    """Return a paragraph in lines of at most 120 characters."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def calls() -> dict[str, str]:
    """Return the call that each picture shows, by the name of its class or method."""
    found = {name: call for entries in SECTIONS.values() for name, (call, _) in entries.items()}
    return found | {name: call for name, (call, _) in COMBINATORS.items()}


def method(name: str) -> str:
    """Return the name of the method that a combination calls."""
    return "__mul__" if name == "*" else name


def picture(name: str) -> Path:
    """Return the file of a picture."""
    return HERE / "gallery" / f"{method(name).strip('_')}.png"


def made(call: str) -> Sequence:
    """Return the sequence that a call makes."""
    y, x = np.mgrid[0:1:60j, 0:1:90j]
    picture = np.round(255 * np.exp(-8 * (x - 0.5) ** 2) * y).astype(np.uint8)  # a glow that brightens downwards
    return eval(call, {**vars(lrsched), "np": np, "picture": picture})


def shown(sequence: Sequence) -> int:
    """Return the number of positions that a picture shows."""
    return max(POSITIONS, sequence.length) if isinstance(sequence, lrsched.Pixels) else POSITIONS


def digest(sequence: Sequence) -> str:
    """Return a digest of the factors that a picture shows, to 6 digits, which are the same on all machines."""
    factors = " ".join(f"{factor:.6g}" for factor in sequence.values(shown(sequence)))
    return hashlib.sha256(factors.encode()).hexdigest()


if __name__ == "__main__":
    main()
