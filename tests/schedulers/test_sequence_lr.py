"""Learning rates of every class against hand formulas and torch's schedulers, and what each refuses."""

import copy
import functools
import io
import math
import tracemalloc
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from PIL import Image
from torch.optim import Adam, lr_scheduler

import lrsched
from lrsched import (
    Cosine,
    CyclicLR,
    Geometric,
    GeometricLR,
    ImageLR,
    Inverse,
    InverseLR,
    Linear,
    Polynomial,
    SawtoothLR,
    Sequence,
    SequenceLR,
    StepDecayLR,
    Values,
    Warmup,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import CASES, PICTURE, VARIANTS, mixed, quietly, started

every_class = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def follow(scheduler, optimizer, n):
    """Return the group learning rates at k = 0 … n−1, in an array (n, groups)."""
    optimizer.step()
    lrs = [group_lrs(optimizer)]
    for _ in range(n - 1):
        scheduler.step()
        lrs.append(group_lrs(optimizer))
    return np.array(lrs)


# ---- values


@pytest.mark.parametrize("case", VARIANTS.values(), ids=VARIANTS)
def test_learning_rates_equal_the_formula_written_out_by_hand(case):
    optimizer = mixed()
    lrs = follow(case.make(optimizer), optimizer, 101)
    expected = [case.lrs(k) for k in range(101)]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12, atol=0)


@every_class
def test_case_01_every_way_to_a_position_gives_the_same_bits(case):
    optimizer, scheduler = started(case)
    for k in range(201):
        here = group_lrs(optimizer)
        jumped, jumper = started(case)
        quietly(lambda jumper=jumper, k=k: jumper.step(k))
        assert group_lrs(jumped) == here
        loaded, loader = started(case)
        loader.load_state_dict(scheduler.state_dict())
        assert group_lrs(loaded) == here
        resumed = mixed()
        case.make(resumed)
        case.make(resumed, last_epoch=k - 1)
        assert group_lrs(resumed) == here
        if case.cls not in (CyclicLR, ImageLR):
            assert here == [base * scheduler.sequence(k) for base in scheduler.base_lrs]
        scheduler.step()


@every_class
def test_construction_writes_the_first_learning_rate(case):
    optimizer = mixed()
    case.make(optimizer)
    assert group_lrs(optimizer) == case.lrs(0)


MODES = {
    "triangular": {},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.9993},
    "scale_fn cycle": {"scale_fn": lambda x: 1 / (5 ** (x * 0.01)), "scale_mode": "cycle"},
    "scale_fn iterations": {"scale_fn": lambda x: 0.9995**x, "scale_mode": "iterations"},
    "scale_fn with an unknown mode": {"scale_fn": lambda x: 0.5, "mode": "ignored"},
}
SIZES = {
    "symmetric": {"step_size_up": 20},
    "asymmetric": {"step_size_up": 3, "step_size_down": 11},
    "fractional": {"step_size_up": 2.5, "step_size_down": 3.25},
    "no way down": {"step_size_up": 8, "step_size_down": 0},
}
OPTIMIZERS = {
    "SGD": lambda kind: make_optimizer((0.3, 0.2), kind, momentum=0.5),
    "Adam": lambda kind: make_optimizer((0.3, 0.2), kind, optimizer=Adam, betas=(0.5, 0.99)),
    "NAdam": lambda kind: make_optimizer((0.3, 0.2), kind, optimizer=torch.optim.NAdam),
}


def momenta(optimizer):
    return [list(group["betas"]) if "betas" in group else group["momentum"] for group in optimizer.param_groups]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mode", MODES)
def test_cyclic_equals_torchs_for_ten_thousand_steps(mode, optimizer):
    options = {"base_lr": [0.01, 0.2], "max_lr": [0.3, 0.25], "base_momentum": [0.7, 0.8], "max_momentum": 0.95}
    for name, size in SIZES.items():
        kind = "float" if name != "asymmetric" else "tensor"
        pairs = []
        for cls in (CyclicLR, lr_scheduler.CyclicLR):
            stepped = OPTIMIZERS[optimizer](kind)
            pairs.append((stepped, cls(stepped, **options, **size, **MODES[mode])))
            stepped.step()
        (ours, scheduler), (theirs, reference) = pairs
        for k in range(10_000 if name in ("symmetric", "asymmetric") else 2_000):
            if k % 7 == 0 or k < 50:
                assert group_lrs(ours) == pytest.approx(group_lrs(theirs), rel=0, abs=1e-12), (name, k)
                flat, wanted = np.ravel(momenta(ours)), np.ravel(momenta(theirs))
                assert flat == pytest.approx(wanted, rel=0, abs=1e-12), (name, k)
            scheduler.step()
            reference.step()


def test_cyclic_without_momentum_leaves_the_momentum_alone():
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = CyclicLR(optimizer, 0.01, 0.1, step_size_up=2, cycle_momentum=False)
    follow(scheduler, optimizer, 5)
    assert momenta(optimizer) == [0.5]
    assert "max_momentum" not in optimizer.param_groups[0]
    plain = make_optimizer((0.1,), optimizer=torch.optim.RMSprop)
    CyclicLR(plain, 0.01, 0.1, cycle_momentum=False)
    adagrad = make_optimizer((0.1,), optimizer=torch.optim.Adagrad)
    CyclicLR(adagrad, 0.01, 0.1, cycle_momentum=False)


def test_cyclic_calls_scale_fn_with_what_torch_calls_it_with():
    for scale_mode in ("cycle", "iterations"):
        calls = []
        for cls in (CyclicLR, lr_scheduler.CyclicLR):
            seen = []
            optimizer = make_optimizer((0.1,), momentum=0.9)

            def scale(x, seen=seen):
                seen.append(x)
                return 1.0

            scheduler = cls(optimizer, 0.1, 1.0, step_size_up=2, scale_fn=scale, scale_mode=scale_mode)
            follow(scheduler, optimizer, 12)
            calls.append(sorted(set(seen)))
        assert calls[0] == calls[1]


def test_cyclic_takes_torchs_arguments_by_position():
    ours, theirs = make_optimizer((0.1,), momentum=0.9), make_optimizer((0.1,), momentum=0.9)
    arguments = (0.01, 0.1, 3, 5, "exp_range", 0.99, None, "cycle", True, 0.8, 0.9, -1)
    lrs = follow(CyclicLR(ours, *arguments), ours, 30)
    expected = follow(lr_scheduler.CyclicLR(theirs, *arguments), theirs, 30)
    np.testing.assert_allclose(lrs, expected, rtol=0, atol=1e-12)
    assert momenta(ours) == pytest.approx(momenta(theirs), abs=1e-12)


@pytest.mark.parametrize("gamma", [0.9, 0.999, 0.5, 1.0])
def test_geometric_equals_torchs_exponential(gamma):
    ours, theirs = make_optimizer((0.1, 3.0)), make_optimizer((0.1, 3.0))
    lrs = follow(GeometricLR(ours, gamma=gamma), ours, 1000)
    expected = follow(lr_scheduler.ExponentialLR(theirs, gamma), theirs, 1000)
    np.testing.assert_allclose(lrs, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("sequence", "reference"),
    [
        (Cosine(40), lambda opt: lr_scheduler.CosineAnnealingLR(opt, 40)),
        (Cosine(40, end=0.1), lambda opt: lr_scheduler.CosineAnnealingLR(opt, 40, eta_min=0.02)),
        (Linear(40, end=0.25), lambda opt: lr_scheduler.LinearLR(opt, 1.0, 0.25, total_iters=40)),
        (Linear(40), lambda opt: lr_scheduler.LinearLR(opt, 1.0, 0.0, total_iters=40)),
        (Polynomial(40), lambda opt: lr_scheduler.PolynomialLR(opt, 40, power=2.0)),
        (Polynomial(40, power=0.5), lambda opt: lr_scheduler.PolynomialLR(opt, 40, power=0.5)),
        (Warmup(7, start=0.25), lambda opt: lr_scheduler.LinearLR(opt, 0.25, 1.0, total_iters=7)),
        (Geometric(0.5).every(6), lambda opt: lr_scheduler.StepLR(opt, 6, gamma=0.5)),
        (Cosine(9).repeated(9), lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 9)),
        (Inverse(), lambda opt: lr_scheduler.LambdaLR(opt, lambda k: 1 / (k + 1))),
    ],
    ids=lambda value: repr(value) if isinstance(value, Sequence) else "",
)
def test_sequences_equal_torchs_schedulers_to_their_end(sequence, reference):
    ours, theirs = make_optimizer((0.2,)), make_optimizer((0.2,))
    lrs = follow(SequenceLR(ours, sequence), ours, 41)
    expected = follow(reference(theirs), theirs, 41)
    np.testing.assert_allclose(lrs, expected, rtol=1e-11, atol=1e-15)


def test_published_step_decay_comes_one_position_before_torchs():
    ours, theirs = make_optimizer((1.0,)), make_optimizer((1.0,))
    lrs = follow(StepDecayLR(ours, 0.5, 3), ours, 20)
    expected = follow(lr_scheduler.StepLR(theirs, 3, 0.5), theirs, 21)
    np.testing.assert_allclose(lrs, expected[1:], rtol=1e-12)


def test_sawtooth_by_hand():
    ours = make_optimizer((1.0,))
    lrs = follow(SawtoothLR(ours, period=4), ours, 9)[:, 0]
    np.testing.assert_allclose(lrs, [1, 0.75, 0.5, 0.125, 0.5, 0.375, 0.25, 0.25 / 3, 1 / 3], rtol=1e-12)
    ours = make_optimizer((1.0,))
    lrs = follow(SawtoothLR(ours, 4, True), ours, 9)[:, 0]
    np.testing.assert_allclose(lrs, [1, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 1 / 3], rtol=1e-12)


def test_defaults_are_the_published_ones():
    for make, expected in (
        (GeometricLR, [0.9**k for k in range(12)]),
        (SawtoothLR, [(1 - (k % 10) / 10) / ((k + 1) // 10 + 1) for k in range(12)]),
    ):
        optimizer = make_optimizer((1.0,))
        np.testing.assert_allclose(follow(make(optimizer), optimizer, 12)[:, 0], expected, rtol=1e-12)


def test_a_sequence_of_the_users_own():
    @dataclass(frozen=True)
    class Halves(Sequence):
        def _at(self, k):
            return 0.5**k

    optimizer = make_optimizer((8.0,))
    assert follow(SequenceLR(optimizer, Halves()), optimizer, 4)[:, 0].tolist() == [8.0, 4.0, 2.0, 1.0]


def test_case_03_a_million_geometric_steps_do_not_drift():
    gamma, floor = 0.99999, 1e-5
    optimizer = make_optimizer((0.3, torch.tensor(0.3)), "asis")
    scheduler = GeometricLR(optimizer, gamma=gamma, min_lr=floor)
    optimizer.step()
    for k in range(1_000_001):
        if k % 100_000 == 0:
            with localcontext() as context:
                context.prec = 40
                exact = [max(Decimal(base) * Decimal(gamma) ** k, Decimal(floor)) for base in scheduler.base_lrs]
            plain, tensor = optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"]
            assert plain == pytest.approx(float(exact[0]), rel=1e-12)
            assert abs(tensor.item() - float(exact[1])) <= float(np.spacing(np.float32(exact[1])))
        scheduler.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.3 * math.exp(1_000_001 * math.log(gamma)), rel=1e-9)
    quietly(lambda: scheduler.step(10**7))
    assert group_lrs(optimizer) == [floor, np.float32(floor)]


def test_case_04_past_its_end_a_sequence_holds_its_last_value():
    optimizer = make_optimizer((2.0,))
    lrs = follow(SequenceLR(optimizer, Values([1.0, 0.5, 0.1])), optimizer, 6)[:, 0]
    assert lrs.tolist() == [2.0, 1.0, 0.2, 0.2, 0.2, 0.2]
    optimizer = make_optimizer((2.0,))
    lrs = follow(ImageLR(optimizer, PICTURE, 60, 0.0, 1.0), optimizer, 70)[:, 0]
    assert lrs[59:].tolist() == [int(PICTURE.ravel()[59]) / 255] * 11


@pytest.mark.parametrize(
    "values", [[], [1.0, float("nan")], [1.0, -0.5], [1.0, "x"], [1.0, float("inf")], "x", None, 3]
)
def test_case_04_a_sequence_of_no_good_values_is_refused_when_it_is_made(values):
    with pytest.raises((TypeError, ValueError), match="values"):
        Values(values)


def test_case_10_the_product_of_sequences_is_what_chaining_cannot_do():
    optimizer = make_optimizer((0.1,))
    lrs = follow(SequenceLR(optimizer, Warmup(3, start=0.25) * Inverse()), optimizer, 6)[:, 0]
    np.testing.assert_allclose(lrs, [0.025, 0.025, 0.025, 0.025, 0.02, 0.1 / 6], rtol=1e-12)


# ---- pictures


@pytest.mark.parametrize("order", ["raster", "serpentine"])
@pytest.mark.parametrize("steps", [1, 12, 40, 200, 3000])
def test_image_equals_pillows_nearest_resize(steps, order):
    picture = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    f = math.sqrt(17 * 13 * 3 / steps)
    width, height = max(1, math.floor(17 / f)), max(1, math.floor(13 / f))
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)).copy()
    if order == "serpentine":
        small[1::2] = small[1::2, ::-1]
    pixels = small.ravel()
    n = min(len(pixels) + 5, 700)
    expected = [1e-5 + (1e-2 - 1e-5) * pixels[min(k, len(pixels) - 1)] / 255 for k in range(n)]
    optimizer = make_optimizer((0.3,))
    lrs = follow(ImageLR(optimizer, picture, steps, order=order), optimizer, n)[:, 0]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12)


def test_image_from_path_file_pillow_or_array_is_the_same(tmp_path):
    picture = Image.fromarray(PICTURE)
    picture.save(tmp_path / "picture.png")
    buffer = io.BytesIO((tmp_path / "picture.png").read_bytes())
    lrs = []
    for image in (tmp_path / "picture.png", str(tmp_path / "picture.png"), buffer, picture, PICTURE):
        optimizer = mixed()
        lrs.append(follow(ImageLR(optimizer, image, 60, channels="gray"), optimizer, 70).tolist())
    assert lrs[1:] == lrs[:-1]


def test_image_and_cyclic_rates_are_not_overridden_by_an_initial_lr():
    optimizer = make_optimizer((0.5,), momentum=0.9)
    GeometricLR(optimizer)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5
    scheduler = ImageLR(optimizer, PICTURE, 60, 0.01, 0.02)
    assert group_lrs(optimizer) == [0.01]
    assert max(follow(scheduler, optimizer, 60)[:, 0]) <= 0.02
    scheduler = CyclicLR(optimizer, 0.1, 0.3, step_size_up=1, step_size_down=3)
    np.testing.assert_allclose(follow(scheduler, optimizer, 5)[:, 0], [0.1, 0.3, 0.7 / 3, 0.5 / 3, 0.1], rtol=1e-12)


def test_image_lr_of_zero_and_one_gives_the_pixels():
    optimizer = make_optimizer((0.5,))
    lrs = follow(ImageLR(optimizer, PICTURE, 60, base_lr=0.0, max_lr=1.0), optimizer, 60)[:, 0]
    np.testing.assert_array_equal(lrs, PICTURE.ravel() / 255)


def test_image_keeps_no_table_longer_than_the_picture():
    optimizer = make_optimizer((0.5,))
    tracemalloc.start()
    scheduler = ImageLR(optimizer, PICTURE, steps=10**8)
    optimizer.step()
    quietly(lambda: scheduler.step(99_999_999))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000
    assert group_lrs(optimizer)[0] == pytest.approx(1e-5 + 9.99e-3 * int(PICTURE.ravel()[-1]) / 255, rel=1e-12)


# ---- refusals

NAN, INF = float("nan"), float("inf")
CYCLIC = {"base_lr": 0.1, "max_lr": 0.3}
BAD = {
    "GeometricLR": {"gamma": [NAN, INF, 0.0, -0.5, 1.5, "x", None, [0.9, 0.8]]},
    "SawtoothLR": {"period": [0, -1, 2.5, "x", None, NAN], "aligned": ["x", None, 3]},
    "ExponentialDecayLR": {"decay": [-0.1, NAN, INF, "x", None]},
    "StepDecayLR": {"drop": [0.0, -0.5, NAN, "x", None], "interval": [0, -1, 1.5, "x", NAN]},
    "TimeDecayLR": {"decay": [-0.1, NAN, INF, "x", None]},
    "ImageLR": {
        "image": [3, None, "no such file.png", io.BytesIO(b"no picture"), np.zeros((0, 3, 3), np.uint8)],
        "steps": [0, -1, 1.5, "x", None],
        "base_lr": [-1.0, NAN, INF, "x", None],
        "max_lr": [-1.0, NAN, INF, "x", None],
        "order": ["x", None, 3],
        "channels": ["x", None, 3],
    },
    "CyclicLR": {
        "base_lr": [-1.0, NAN, INF, "x", None, [0.1], [0.1, -1.0]],
        "max_lr": [-1.0, NAN, INF, "x", None, [0.1, 0.2, 0.3], [0.1, NAN]],
        "step_size_up": [0, -1, NAN, "x", None],
        "step_size_down": [-1, NAN, "x"],
        "mode": ["x", None, 3],
        "gamma": [NAN, -0.5, "x", None],
        "scale_fn": [3, "x"],
        "base_momentum": [NAN, "x", None, [0.8], [0.8, NAN]],
        "max_momentum": [NAN, "x", None, [0.8], [0.8, NAN]],
    },
    "SequenceLR": {
        "sequence": [None, 3, "x", [], [Inverse()], [Inverse(), 3], [Inverse()] * 3, Inverse],
    },
}
for _name in CASES:
    BAD.setdefault(_name, {})["last_epoch"] = [-2, 1.5, "x", None, NAN]
    if _name not in ("ImageLR", "CyclicLR"):
        BAD[_name]["min_lr"] = [-0.1, NAN, INF, "x", None, [0.1], [0.1] * 3, [0.1, -0.1], [0.1, "x"]]


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, arguments in BAD.items() for argument in arguments]
)
def test_bad_arguments_are_named_and_nothing_has_changed(name, argument):
    for value in BAD[name][argument]:
        optimizer = mixed()
        before = copy.deepcopy(optimizer.state_dict())
        with pytest.raises((TypeError, ValueError), match=argument):
            CASES[name].make(optimizer, **{argument: value})
        assert optimizer.state_dict() == before, value
        assert "step" not in vars(optimizer), value
        assert not optimizer._optimizer_step_post_hooks, value


def test_bad_scale_mode_is_named():
    for value in ("x", None, 3):
        with pytest.raises((TypeError, ValueError), match="scale_mode"):
            CyclicLR(mixed(), 0.1, 0.3, scale_fn=lambda x: 1.0, scale_mode=value)


@every_class
def test_what_is_no_optimizer_is_refused(case):
    parameters = torch.nn.Linear(2, 2)
    for value in (None, 3, "x", parameters, [torch.ones(1)]):
        with pytest.raises(TypeError, match=r"(?i)optimizer"):
            case.make(value)


@pytest.mark.parametrize("function", [lambda k: 1.0, math.sqrt, functools.partial(pow, 2)])
def test_a_plain_function_is_no_sequence_and_points_to_lambda_lr(function):
    for sequence in (function, [Inverse(), function]):
        optimizer = mixed()
        with pytest.raises(TypeError, match="LambdaLR"):
            SequenceLR(optimizer, sequence)
        assert "initial_lr" not in optimizer.param_groups[0]


def test_wrong_lengths_name_both_counts():
    for make in (
        lambda opt: SequenceLR(opt, [Inverse()] * 3),
        lambda opt: InverseLR(opt, min_lr=[0.1] * 3),
        lambda opt: CyclicLR(opt, [0.1] * 3, 1.0),
        lambda opt: CyclicLR(opt, 0.1, [1.0] * 3),
    ):
        with pytest.raises(ValueError, match=r"3\D+2\b|2\D+3\b"):
            make(mixed())


def test_cyclic_momentum_needs_an_optimizer_that_has_one():
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adagrad)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"cycle_momentum"):
        CyclicLR(optimizer, 0.1, 0.3)
    assert optimizer.state_dict() == before


def test_errors_tell_the_value():
    for make, shown in (
        (lambda opt: GeometricLR(opt, gamma=1.5), "1.5"),
        (lambda opt: SawtoothLR(opt, period=-3), "-3"),
        (lambda opt: InverseLR(opt, min_lr="low"), "low"),
        (lambda opt: ImageLR(opt, PICTURE, 60, order="zigzag"), "zigzag"),
        (lambda opt: CyclicLR(opt, 0.1, 0.3, mode="square"), "square"),
        (lambda opt: CyclicLR(opt, -0.25, 0.3), "-0.25"),
        (lambda opt: SequenceLR(opt, "steep"), "steep"),
    ):
        with pytest.raises((TypeError, ValueError), match=shown):
            make(mixed())


@every_class
def test_a_bad_epoch_is_named_and_nothing_has_changed(case):
    optimizer, scheduler = started(case)
    scheduler.step()
    before = (group_lrs(optimizer), scheduler.state_dict())
    for epoch in (-1, 1.5, "x", NAN):
        with pytest.raises((TypeError, ValueError), match="epoch"):
            quietly(lambda epoch=epoch: scheduler.step(epoch))
        assert (group_lrs(optimizer), scheduler.state_dict()) == before


def test_no_argument_is_edited():
    sequences, floors, rates = [Inverse(), Geometric()], [0.0, 0.1], [0.1, 0.2]
    SequenceLR(mixed(), sequences, min_lr=floors)
    CyclicLR(mixed(), rates, rates, base_momentum=rates, max_momentum=rates)
    assert (sequences, floors, rates) == ([Inverse(), Geometric()], [0.0, 0.1], [0.1, 0.2])


def test_every_class_is_public_and_a_scheduler_of_torchs():
    for name in CASES:
        assert name in lrsched.__all__
        assert issubclass(getattr(lrsched, name), lr_scheduler.LRScheduler)


def test_a_scheduler_prints_what_it_follows_where_it_is_and_its_rates():
    optimizer = make_optimizer((0.5, torch.tensor(0.25)), "asis")
    scheduler = SequenceLR(optimizer, Warmup(4, start=0.5) * Inverse())
    assert (
        repr(scheduler) == "SequenceLR(sequence=Warmup(steps=4, start=0.5) * Inverse(), position=0, lrs=[0.25, 0.125])"
    )
    assert repr(InverseLR(make_optimizer((0.5,)))) == "InverseLR(sequence=Inverse(), position=0, lrs=[0.5])"
    assert str(scheduler) == f"{scheduler}" == repr(scheduler)
