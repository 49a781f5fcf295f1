"""A clock that a test moves by hand, so that tests of timing do not depend on the machine."""


class Clock:
    """Stands for `time.perf_counter`."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
