import pytest
from torch.optim import lr_scheduler

from lrsched import OneCycle, SequenceLR
from tests.helpers import group_lrs, make_optimizer
from tests.sequences.helpers import INF, NAN, NOT_A_NUMBER, NOT_AN_INTEGER, by_hand, each, exactly, first

# ---------------------------------------------------------------- hand-worked values


@pytest.mark.parametrize(
    ("seq", "expected"),
    by_hand(
        [
            # phases 0 → 2 → 6
            (OneCycle(7, 3 / 7, 0.2, 0.0, "linear"), [0.2, 0.6, 1, 0.75, 0.5, 0.25, 0, 0]),
            (OneCycle(7, 3 / 7, 0.0, 0.0), [0, 0.5, 1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0, 0]),
            # phases 0 → 2 → 4 → 9
            (
                OneCycle(10, 0.3, 0.5, 0.0, "linear", three_phase=True),
                [0.5, 0.75, 1, 0.75, 0.5, 0.4, 0.3, 0.2, 0.1, 0],
            ),
            # the whole of it is a rise
            (OneCycle(5, 1.0, 0.2, 0.0, "linear"), [0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
            # no rise: as in torch, the fall begins one position before the first
            (OneCycle(4, 0.0, 0.5, 0.0, "linear"), [0.75, 0.5, 0.25, 0, 0]),
            # the rise has one position, which is the top; torch divides by 0 here
            (OneCycle(4, 0.25, 0.5, 0.25, "linear"), [1, 0.75, 0.5, 0.25, 0.25]),
            (OneCycle(4, 0.25, 0.5, 0.25, "linear", True), [1, 0.5 - 0.25 / 3, 0.5 - 0.5 / 3, 0.25, 0.25]),
            (OneCycle(1, 1.0), [1, 1]),
            (OneCycle(1), [4e-6, 4e-6]),
        ]
    ),
)
def test_hand_worked_values(seq, expected):
    assert first(seq, len(expected)) == pytest.approx(expected, rel=1e-13, abs=1e-16)


def test_defaults_are_those_of_torch():
    seq = OneCycle(100)
    assert (seq(0), seq(29), seq(99), seq(10**9)) == (1 / 25, 1.0, 4e-6, 4e-6)
    assert first(OneCycle(8, 0.5, 0.25, 0.0, "linear"), 8) == exactly(0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0)


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_meets_its_ends_exactly_and_is_between_them(shape, three_phase):
    for steps in (10, 20, 30, 1000):
        seq = OneCycle(steps, 0.3, 0.1, 1e-7, shape, three_phase)
        assert (seq(0), seq(steps * 3 // 10 - 1), seq(steps - 1), seq(steps)) == (0.1, 1.0, 1e-7, 1e-7)
        assert all(1e-7 <= value <= 1.0 for value in first(seq, steps))


# ---------------------------------------------------------------- the same as torch


def torch_one_cycle(steps, rise, start, end, shape, three_phase):
    return lr_scheduler.OneCycleLR(
        make_optimizer([1.0], momentum=0.9),
        max_lr=2.0,
        total_steps=steps,
        pct_start=float(rise),
        anneal_strategy={"cosine": "cos"}.get(shape, shape),
        div_factor=1 / start,
        final_div_factor=start / end,
        three_phase=three_phase,
    )


def went_through(scheduler, steps):
    lrs = [scheduler.get_last_lr()[0]]
    for _ in range(steps - 1):
        scheduler.optimizer.step()
        scheduler.step()
        lrs.append(scheduler.get_last_lr()[0])
    return lrs


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("rise", [0.0, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.61, 0.9, 1.0])
def test_equals_torch(rise, shape, three_phase):
    compared = 0
    for steps in (1, 2, 3, 4, 7, 10, 11, 30, 97):
        for start, end in ((1 / 25, 4e-6), (0.5, 0.25), (2.0, 0.1)):
            try:
                expected = went_through(torch_one_cycle(steps, rise, start, end, shape, three_phase), steps)
            except ZeroDivisionError:  # torch cannot do a phase of no length
                assert rise * steps == 1.0
                continue
            seq = OneCycle(steps, rise, start, end, shape, three_phase)
            assert [2.0 * seq(k) for k in range(steps)] == pytest.approx(expected, rel=0, abs=1e-10)
            compared += 1
    assert compared >= 24


@pytest.mark.parametrize("three_phase", [False, True])
def test_equals_torch_resumed_at_every_step(three_phase):
    expected = went_through(torch_one_cycle(30, 0.3, 0.04, 4e-6, "cosine", three_phase), 30)
    sequence = OneCycle(30, three_phase=three_phase)
    ours = SequenceLR(make_optimizer([2.0]), sequence)
    for lr in expected:
        resumed = SequenceLR(make_optimizer([2.0]), sequence)
        resumed.optimizer.load_state_dict(ours.optimizer.state_dict())
        resumed.load_state_dict(ours.state_dict())
        ours = resumed
        assert group_lrs(ours.optimizer) == pytest.approx([lr], rel=0, abs=1e-10)
        ours.optimizer.step()
        ours.step()


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (OneCycle, {}, "steps", NOT_AN_INTEGER),
    *[(OneCycle, {"steps": 5}, name, NOT_A_NUMBER) for name in ("rise", "start", "end")],
    (OneCycle, {"steps": 5}, "shape", [None, 1]),
    (OneCycle, {"steps": 5}, "three_phase", [None, 1, "yes"]),
]
BAD_VALUES = [
    (OneCycle, {}, "steps", [0, -1]),
    (OneCycle, {"steps": 5}, "rise", [NAN, INF, -0.1, 1.1]),
    *[(OneCycle, {"steps": 5}, name, [NAN, INF, -INF, -0.1]) for name in ("start", "end")],
    (OneCycle, {"steps": 5}, "shape", ["", "cos", "LINEAR"]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})
