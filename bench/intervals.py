"""How often 95 % intervals hold the truth when rows are a fixed number of each stratum, as the suite's are.

    python bench/intervals.py [--trials 2000]

Rows of 5 domains x 8 buckets with chances to be memorized from .02 to .98; share with M = 1 (Wilson), mean M, and the
difference of two buckets (bootstrap). `plain` draws from all rows alike, `design` within strata.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from memviz.population.intervals import design_effect, design_units, drawn_sums, percentiles, wilson

N_DOMAINS, N_BUCKETS, N_RESAMPLES = 5, 8, 500
Ends = tuple[float, float]


def of_sums(value: np.ndarray, units: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int) -> Ends:
    low, high = percentiles(statistic(drawn_sums(value, units, N_RESAMPLES, seed))[1:])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    n_trials = parser.parse_args().trials
    for per_stratum in (6, 25, 60):
        domain, bucket = np.divmod(np.repeat(np.arange(N_DOMAINS * N_BUCKETS), per_stratum), N_BUCKETS)
        chance = np.clip(np.linspace(0.02, 0.98, N_BUCKETS)[bucket] + 0.05 * (domain - 2), 0.005, 0.995)
        rows = np.arange(len(domain))
        ways = {"plain": rows, "design": design_units(rows, domain, bucket)}
        a, b = bucket == N_BUCKETS - 2, bucket == 1
        truth = {
            "share": chance.mean(),
            "mean": 0.5 * chance.mean() + 0.25,
            "difference": (chance[a].mean() - chance[b].mean()) / 2,
        }
        held = {(way, name): 0 for way in ways for name in truth}
        width = dict.fromkeys(held, 0.0)
        generator = np.random.default_rng(per_stratum)
        for trial in range(n_trials):
            full = generator.random(len(rows)) < chance
            score = full * 0.5 + generator.random(len(rows)) * 0.5
            columns = np.column_stack([score, np.ones(len(rows)), a * score, a, b * score, b])
            for way, units in ways.items():
                low, high = wilson(np.array(full.mean()), np.array(len(rows) / design_effect(full, units)))
                ends = {
                    "share": (float(low), float(high)),
                    "mean": of_sums(columns, units, lambda s: s[:, 0] / s[:, 1], trial),
                    "difference": of_sums(columns, units, lambda s: s[:, 2] / s[:, 3] - s[:, 4] / s[:, 5], trial),
                }
                for name, (low, high) in ends.items():
                    held[way, name] += low <= truth[name] <= high
                    width[way, name] += (high - low) / n_trials
        print(f"{per_stratum} rows a stratum, {len(rows)} in all, {n_trials} trials")
        for name in truth:
            shown = [f"{way} {100 * held[way, name] / n_trials:.1f} % (width {width[way, name]:.4f})" for way in ways]
            print(f"  {name:10}  {'   '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
