"""Members that are trained together: what an epoch does with them, whichever way they are trained."""

from lrsched import GeometricLR, Setting
from lrsched.comparison._cohort import Cohort
from lrsched.comparison._profile import examine
from tests.comparison.helpers import hidden, sgd, task

SETTINGS = {"fixed": Setting(sgd()), "falls": Setting(sgd(), GeometricLR)}
PAIRS = [("fixed", 0), ("falls", 1)]


class Scripted(Cohort):
    """Trains nothing: its losses are given."""

    method = "one after another"

    def __init__(self, **changes):
        one = task(**changes)
        super().__init__(one, examine(SETTINGS, one, hidden(), False), PAIRS, "a test")
        self.calls = []

    def train(self, members):
        self.calls.append(("train", [member.run.setting for member in members]))
        for member in members:
            member.optimizer.step()
        return [1.0 + member.run.seed for member in members]

    def validate(self, members):
        self.calls.append(("validate", [member.run.setting for member in members]))
        return [{"loss": 0.5 + member.run.seed, "hits": 3.0} for member in members]

    def end_epoch(self, members):
        self.calls.append(("end", [member.done for member in members]))


def test_members_are_the_runs_in_order_with_method_and_reason():
    cohort = Scripted(note="here")
    assert cohort.pairs == PAIRS
    for member in cohort.members:
        assert (member.run.method, member.run.reason, member.run.note) == ("one after another", "a test", "here")


def test_an_epoch_trains_validates_and_records_the_active_members():
    cohort = Scripted(stop=lambda losses: losses[-1] < 1)  # ends the run of seed 0
    records = cohort.epoch()
    assert records == [member.run for member in cohort.members]
    assert [run.lrs for run in records] == [[[0.1]], [[0.1]]]
    assert [(run.train_loss, run.val_loss, run.metrics) for run in records] == [
        ([1.0], [0.5], {"hits": [3.0]}),
        ([2.0], [1.5], {"hits": [3.0]}),
    ]
    assert [run.setting for run in cohort.epoch()] == ["falls"]
    assert records[1].lrs == [[0.1], [0.1 * 0.9]]
    assert cohort.calls == [
        ("train", ["fixed", "falls"]),
        ("validate", ["fixed", "falls"]),
        ("end", [True, False]),
        ("train", ["falls"]),
        ("validate", ["falls"]),
        ("end", [True]),
    ]
    assert cohort.active == []
    assert all(member.run.seconds > 0 for member in cohort.members)


def test_a_restored_cohort_continues_with_its_records():
    first, second = Scripted(epochs=3), Scripted(epochs=3)
    first.epoch()
    second.load_state_dict(first.state_dict())
    second.epoch()
    assert [member.run.resumed for member in second.members] == [[1], [1]]
    assert [member.run.lrs for member in second.members] == [[[0.1], [0.1]], [[0.1], [0.1 * 0.9]]]
