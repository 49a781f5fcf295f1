"""What the tests of rules share."""

from lrsched import Rule


def feed(rule, metrics, mode="min"):
    """Return the reason for each metric, or None if the rule does not fire."""
    return [rule.update(metric, mode) for metric in metrics]


def fires(rule, metrics, mode="min"):
    """Return the indices at which the rule fires."""
    return [i for i, reason in enumerate(feed(rule, metrics, mode)) if reason is not None]


class EveryThird(Rule):
    """A rule that a user might write, with only the documented parts."""

    state_fields = ("seen",)

    def __init__(self):
        self.seen = 0

    def update(self, metric, mode):
        self.seen += 1
        return f"third: {self.seen}" if self.seen % 3 == 0 else None
