"""A state of other settings is refused, and both settings are shown; with strict=False the scheduler keeps its own."""

import math

import pytest

from lrsched import (
    Cosine,
    Cutoff,
    CyclicLR,
    Geometric,
    GeometricLR,
    ImageLR,
    Inverse,
    InverseLR,
    OneCycleLR,
    Oscillation,
    Patience,
    PlateauSequence,
    SequenceLR,
    Values,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES, PICTURE, VARIANTS, mixed, started, step
from tests.schedulers.plateau import HALF, feed
from tests.schedulers.states import EveryThird, everything

G, I = Geometric(0.8), Inverse()  # noqa: E741
# what differs: two schedulers, and what the error must show of each
STEPWISE = {
    "class": (lambda o: GeometricLR(o, 0.8), lambda o: InverseLR(o), "GeometricLR", "InverseLR"),
    "named class": (lambda o: InverseLR(o), lambda o: SequenceLR(o, I), "InverseLR", "SequenceLR"),
    "gamma": (lambda o: GeometricLR(o, 0.8), lambda o: GeometricLR(o, 0.75), r"0\.8", r"0\.75"),
    "sequence": (lambda o: SequenceLR(o, G), lambda o: SequenceLR(o, I), r"Geometric\(gamma=0\.8\)", r"Inverse\(\)"),
    "order of sequences": (
        lambda o: SequenceLR(o, [G, I]),
        lambda o: SequenceLR(o, [I, G]),
        r"Geometric\(gamma=0\.8\).*Inverse\(\)",
        r"Inverse\(\).*Geometric\(gamma=0\.8\)",
    ),
    "list": (lambda o: SequenceLR(o, [I, I]), lambda o: SequenceLR(o, I), r"Inverse\(\).*Inverse\(\)", r"Inverse\(\)"),
    "min_lr": (lambda o: InverseLR(o, min_lr=0.25), lambda o: InverseLR(o, min_lr=0.125), r"0\.25", r"0\.125"),
    "min_lr of a group": (
        lambda o: InverseLR(o, min_lr=[0.25, 0.5]),
        lambda o: InverseLR(o, min_lr=[0.25, 0.125]),
        r"0\.25, 0\.5",
        r"0\.25, 0\.125",
    ),
    "picture": (lambda o: ImageLR(o, PICTURE, 60), lambda o: ImageLR(o, 255 - PICTURE, 60), "sha256", "sha256"),
    "steps": (lambda o: ImageLR(o, PICTURE, 60), lambda o: ImageLR(o, PICTURE, 61), "60", "61"),
    "max_lr": (
        lambda o: ImageLR(o, PICTURE, 60, max_lr=0.25),
        lambda o: ImageLR(o, PICTURE, 60, max_lr=0.125),
        r"0\.25",
        r"0\.125",
    ),
    "base_lr": (lambda o: CyclicLR(o, 0.0625, 0.5, 3), lambda o: CyclicLR(o, 0.03125, 0.5, 3), r"0\.0625", r"0\.03125"),
    "step size": (lambda o: CyclicLR(o, 0.1, 0.5, 3), lambda o: CyclicLR(o, 0.1, 0.5, 7), "3", "7"),
    "cycle mode": (
        lambda o: CyclicLR(o, 0.1, 0.5, 3, mode="triangular2"),
        lambda o: CyclicLR(o, 0.1, 0.5, 3, mode="exp_range"),
        "triangular2",
        "exp_range",
    ),
    "momentum": (
        lambda o: CyclicLR(o, 0.1, 0.5, 3, max_momentum=0.9375),
        lambda o: CyclicLR(o, 0.1, 0.5, 3, max_momentum=0.875),
        r"0\.9375",
        r"0\.875",
    ),
    "cycled momentum": (
        lambda o: CyclicLR(o, 0.1, 0.5, 3),
        lambda o: CyclicLR(o, 0.1, 0.5, 3, cycle_momentum=False),
        "True",
        "False",
    ),
    "cycle": (lambda o: OneCycleLR(o, 0.5, 10), lambda o: OneCycleLR(o, 0.5, 11), "steps=10", "steps=11"),
    "end of a cycle": (
        lambda o: OneCycleLR(o, 0.5, 10),
        lambda o: OneCycleLR(o, 0.5, 10, final_div_factor=4.0),
        r"end=4\.0+1?e-06|end=4e-06",
        r"end=0\.01",
    ),
    "highest rate": (lambda o: OneCycleLR(o, 0.5, 10), lambda o: OneCycleLR(o, 0.25, 10), r"0\.5", r"0\.25"),
}


def plateau(sequence=HALF, on="cutoff", **options):
    return lambda optimizer: PlateauSequence(optimizer, sequence, on, **options)


PLATEAUS = {
    "sequence": (plateau(), plateau(I), r"Geometric\(gamma=0\.5\)", r"Inverse\(\)"),
    "gamma": (plateau(), plateau(Geometric(0.25)), r"gamma=0\.5\b", r"gamma=0\.25"),
    "list": (plateau(), plateau([HALF, HALF]), "Geometric", r"\[.*Geometric"),
    "long values": (plateau(Values([0.5] * 40)), plateau(Values([0.5] * 41)), "40", "41"),
    "rule": (plateau(), plateau(on="oscillate"), "Cutoff", "Oscillation"),
    "cutoff": (plateau(), plateau(on=Cutoff(0.25)), "cutoff=None", r"cutoff=0\.25"),
    "decay": (plateau(), plateau(on=Cutoff(decay=0.75)), r"decay=0\.2", r"decay=0\.75"),
    "two rules": (
        plateau(),
        plateau(on=Cutoff() | Oscillation()),
        r"Cutoff\([^|]*$|Cutoff\([^|]*\)[^|]",
        "Oscillation",
    ),
    "patience": (plateau(on=Patience(2)), plateau(on=Patience(3)), "2", "3"),
    "a user's rule": (plateau(), plateau(on=EveryThird()), "Cutoff", "EveryThird"),
    "metric mode": (plateau(), plateau(mode="max"), "min", "max"),
    "min_lr": (plateau(), plateau(min_lr=0.125), r"\b0\.0\b", r"0\.125"),
    "min_lr of a group": (
        plateau(min_lr=[0.25, 0.5]),
        plateau(min_lr=[0.25, 0.125]),
        r"0\.25, 0\.5",
        r"0\.25, 0\.125",
    ),
}
OTHERS = STEPWISE | {f"PlateauSequence: {name}": entry for name, entry in PLATEAUS.items()}


@pytest.mark.parametrize("name", OTHERS)
def test_other_settings_are_refused_and_both_are_shown(name):
    first, second, *shown = OTHERS[name]
    pairs = []
    for make in (first, second):
        optimizer = mixed()
        pairs.append(make(optimizer))
        optimizer.step()
        step(pairs[-1])
    for target, source, (mine, others) in ((pairs[1], pairs[0], shown[::-1]), (pairs[0], pairs[1], shown)):
        before = everything(target)
        with pytest.raises(ValueError, match=rf"(?s)({others}.*{mine}|{mine}.*{others}).*strict=False"):
            target.load_state_dict(source.state_dict())
        assert everything(target) == before


def test_a_rule_is_known_by_its_settings_not_by_its_present_state():
    source, target = (PlateauSequence(make_optimizer(), HALF, Cutoff(0.5)) for _ in range(2))
    feed(source, [1.0] * 5)
    feed(target, [1.0] * 2)
    target.load_state_dict(source.state_dict())
    assert target.rule.cutoff == source.rule.cutoff < 0.5


# ---- strict=False


def test_not_strict_keeps_the_settings_of_the_constructor():
    saved, scheduler = started(CASES["GeometricLR"], make_optimizer((0.5,)))
    for _ in range(5):
        scheduler.step()
    optimizer = make_optimizer((2.0,))
    loader = GeometricLR(optimizer, gamma=0.5, min_lr=0.001)
    loader.load_state_dict(scheduler.state_dict(), strict=False)
    assert group_lrs(saved) == pytest.approx([0.5 * 0.8**5])
    assert group_lrs(optimizer) == [0.5 * 0.5**5]  # its own sequence at the saved position
    assert loader.base_lrs == [0.5]
    assert (loader.sequence, loader.min_lr) == (Geometric(0.5), 0.001)
    optimizer.step()
    loader.step()
    assert group_lrs(optimizer) == [0.5 * 0.5**6]
    with pytest.raises(ValueError, match=r"0\.8"):
        loader.load_state_dict(scheduler.state_dict(), strict=True)


def test_not_strict_a_cosine_can_become_longer():
    optimizer = make_optimizer((0.5,))
    scheduler = SequenceLR(optimizer, Cosine(10))
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    other = make_optimizer((0.5,))
    longer = SequenceLR(other, Cosine(20))
    longer.load_state_dict(scheduler.state_dict(), strict=False)
    assert group_lrs(other) == pytest.approx([0.25], rel=1e-12)
    other.step()
    longer.step()
    assert group_lrs(other) == pytest.approx([0.25 * (1 + math.cos(math.pi * 11 / 20))])


def test_not_strict_plateau_sequence_keeps_the_settings_of_the_constructor():
    source = PlateauSequence(make_optimizer(), Cosine(10), "oscillate", mode="max", min_lr=0.001)
    feed(source, [5.0, 4.0, 3.0])
    assert source.position == 2
    other = make_optimizer([0.7])
    target = PlateauSequence(other, Cosine(100), "oscillate", min_lr=0.002, history=5)
    target.load_state_dict(source.state_dict(), strict=False)
    assert (target.sequence, target.mode, target.min_lr) == (Cosine(100), "min", 0.002)
    assert (target.position, target.last_epoch, target.base_lrs) == (2, 3, [0.1])
    assert group_lrs(other) == pytest.approx([0.1 * (1 + math.cos(math.pi * 2 / 100)) / 2], rel=1e-12)
    assert target.events == source.events
    target.step(4.0)  # a rise: an event in mode "min"
    assert group_lrs(other) == pytest.approx([0.1 * (1 + math.cos(math.pi * 3 / 100)) / 2], rel=1e-12)


def test_not_strict_takes_the_state_of_the_rule():
    source = PlateauSequence(make_optimizer(), HALF, Cutoff(0.5))
    target = PlateauSequence(make_optimizer(), HALF, Cutoff(8.0, decay=0.5))
    feed(source, [1.0, 1.0])
    target.load_state_dict(source.state_dict(), strict=False)
    assert target.rule.cutoff == 0.1
    target.step(1.0625)
    assert (target.rule.cutoff, target.position) == (0.05, 2)


def test_not_strict_refuses_the_state_of_another_kind_of_rule():
    source = PlateauSequence(make_optimizer(), HALF, Cutoff(0.5) | Oscillation())
    target = PlateauSequence(make_optimizer(), HALF, Patience(2))
    feed(source, [1.0, 1.0])
    feed(target, [3.0])
    before = everything(target)
    with pytest.raises((TypeError, ValueError), match=r"state|rule"):
        target.load_state_dict(source.state_dict(), strict=False)
    assert everything(target) == before


def test_not_strict_the_state_of_a_scale_fn_is_ignored_without_an_object_to_take_it():
    state = started(VARIANTS["CyclicLR object"])[1].state_dict()
    optimizer = mixed()
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4)
    scheduler.load_state_dict(state, strict=False)
    optimizer.step()
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(CASES["CyclicLR"].lrs(1), rel=1e-12)
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=math.exp)
    scheduler.load_state_dict(state)
    assert group_lrs(optimizer) == pytest.approx(CASES["CyclicLR"].lrs(0), rel=1e-12)


def test_base_rates_are_not_settings():
    source, target = InverseLR(make_optimizer(BASES)), InverseLR(make_optimizer((3.0, 4.0)))
    target.load_state_dict(source.state_dict())
    assert target.base_lrs == [*BASES]
