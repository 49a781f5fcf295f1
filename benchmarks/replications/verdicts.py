"""The rules that decide from the values of several seeds whether a claim is reproduced.

All settings have the same seeds. These functions alone decide the verdicts; with fewer than 3 seeds nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from lrsched import Estimate

from .stats import FEWEST, differences, share_interval

REPRODUCED, NOISE, NOT = "reproduced", "within noise", "not reproduced"
ORDER = [REPRODUCED, NOISE, NOT]  # from strongest to weakest
Values = Mapping[str, Sequence[float]]  # one value per seed, by setting


@dataclass(frozen=True)
class Judgement:
    """A statistic in words, its mean over n seeds, the p of its test (NaN if there is none), and the verdict."""

    statistic: str
    value: Estimate
    p: float
    verdict: str
    decimals: int = 4

    def cells(self) -> list[str]:
        """Return statistic, n, mean (the values if n < 3), interval, p and verdict."""
        value, places = self.value, self.decimals
        interval = "–" if math.isnan(value.half) else f"{value.low:.{places}f} … {value.high:.{places}f}"
        p = "–" if math.isnan(self.p) else "< 0.0001" if self.p < 1e-4 else f"{self.p:.2g}"
        mean = "–" if math.isnan(value.mean) else f"{value.mean:.{places}f}"
        if value.n < FEWEST:
            mean = value.text(places)
        return [self.statistic, str(value.n), mean, interval, p, self.verdict]


def against(
    statistic: str, values: Sequence[float], bound: float = 0.0, above: bool = True, decimals: int = 4
) -> Judgement:
    """Judge whether the mean is above a bound, or below it.

    Reproduced if it is, with p < 0.05; not reproduced if it lies on the other side with p < 0.05; otherwise within
    noise.
    """
    value = Estimate.of(values)
    p = value.p_value(bound)
    right = value.mean > bound if above else value.mean < bound
    verdict = NOISE if p >= 0.05 else REPRODUCED if right else NOT
    return Judgement(statistic, value, p, judged(verdict, values), decimals)


def best(
    values: Values, claimed: str, what: str, lowest: bool = False, tied: Sequence[str] = (), decimals: int = 4
) -> Judgement:
    """Judge whether a setting is the best: compare it with its best rival by `against`.

    It need not beat the settings that the claim calls tied with it. But if one of them is ahead with p < 0.05, the
    claim is not reproduced.
    """

    def part(rival: str) -> Judgement:
        statistic = f"{what}: {claimed} − {rival}"
        return against(statistic, differences(values[claimed], values[rival]), above=not lowest, decimals=decimals)

    rivals = {name: series for name, series in values.items() if name != claimed and name not in tied}
    rival = (min if lowest else max)(rivals, key=lambda name: Estimate.of(rivals[name]).mean)
    return weakest([part(rival), *(no_worse(part(name)) for name in tied)])


def no_worse(judgement: Judgement) -> Judgement:
    """Return the judgement of whether a setting is not behind; within noise is enough."""
    return replace(judgement, verdict=REPRODUCED) if judgement.verdict == NOISE else judgement


def alike(pairs: Values, bound: float = 0.005) -> Judgement:
    """Judge whether the two settings of each pair are within a bound; `pairs` holds their differences.

    Reproduced if the 95 % interval of every mean difference lies within ±bound, not reproduced if one lies entirely
    outside, otherwise within noise. Of equally weak pairs, the judgement of the one furthest apart is returned.
    """

    def judge(statistic: str, values: Sequence[float]) -> Judgement:
        value = Estimate.of(values)
        inside = -bound < value.low and value.high < bound
        outside = value.high < -bound or value.low > bound
        verdict = judged(REPRODUCED if inside else NOT if outside else NOISE, values)
        return Judgement(statistic, value, value.p_value(), verdict)

    furthest_first = sorted(pairs, key=lambda name: -abs(Estimate.of(pairs[name]).mean))
    return weakest([judge(name, pairs[name]) for name in furthest_first])


def most(statistic: str, found: Mapping[str, Sequence[bool]]) -> Judgement:
    """Judge whether something holds for more than half of the seeds, in every case. The smallest share is shown."""
    least = min(found, key=lambda name: fmean(found[name]))
    value = share_interval(found[least])
    verdict = judged(REPRODUCED if value.mean > 0.5 else NOT, found[least])
    counts = ", ".join(f"{name} {sum(seeds)} of {len(seeds)}" for name, seeds in found.items())
    return Judgement(f"{statistic}: {counts}" if len(found) > 1 else statistic, value, math.nan, verdict, decimals=2)


def weakest(judgements: Sequence[Judgement]) -> Judgement:
    """Return the first of the weakest judgements: the verdict on a claim of several parts."""
    return max(judgements, key=weakness)


def nearly_all(judgements: Sequence[Judgement]) -> Judgement:
    """Return the second weakest judgement: the verdict on a claim that allows one exception."""
    return sorted(judgements, key=weakness)[-2:][0]


def weakness(judgement: Judgement) -> int:
    """Return the verdict's index in `ORDER`; a claim that is not judged is the weakest."""
    return ORDER.index(judgement.verdict) if judgement.verdict in ORDER else len(ORDER)


def judged(verdict: str, values: Sequence[float]) -> str:
    """Return the verdict, unless the values are too few or not all finite."""
    if not all(map(math.isfinite, values)):
        return "not judged (a run without a finite value)"
    return verdict if len(values) >= FEWEST else f"not judged (n = {len(values)} is too small)"


def missing(count: int, of: int) -> Judgement:
    """Return the judgement of a claim for which some runs are missing."""
    return Judgement("–", Estimate.of([]), math.nan, f"not judged ({count} of {of} missing)")


def qualified(judgement: Judgement, remark: str) -> Judgement:
    return replace(judgement, verdict=f"{judgement.verdict} ({remark})")
