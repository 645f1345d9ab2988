"""How often change points are found where none are, and how near to a planted one; synthetic entropies, one minute.

Gamma-distributed entropies with the moments of real ones: ordinary text 2.5 +- 1.6 nats, reproduced text 0.4 +- 0.7.
"""

from __future__ import annotations

import time

import numpy as np

from memviz.measures.changepoints import change_points

ORDINARY, REPRODUCED = (2.5, 1.6), (0.4, 0.7)
PENALTIES = (2.0, 2.5, 3.0, 4.0, 5.0)
N_CURVES = 200


def entropies(generator: np.random.Generator, moments: tuple[float, float], size: int) -> np.ndarray:
    """(size,) nats, independent, with the given mean and standard deviation."""
    mean, spread = moments
    return generator.gamma((mean / spread) ** 2, spread**2 / mean, size)


def main() -> None:
    generator = np.random.default_rng(0)
    print("| tokens | penalty | false alarms per null curve | hits within 2 | within 10 | ms per curve |")
    print("|---|---|---|---|---|---|")
    for size in (64, 256, 1000):
        nulls = [entropies(generator, (ORDINARY, REPRODUCED)[i % 2], size) for i in range(N_CURVES)]
        at = generator.integers(size // 4, 3 * size // 4, N_CURVES)
        planted = [
            np.concatenate([entropies(generator, ORDINARY, j), entropies(generator, REPRODUCED, size - j)]) for j in at
        ]
        for penalty in PENALTIES:
            start = time.perf_counter()
            false_alarms = np.mean([len(change_points(curve, penalty)) for curve in nulls])
            milliseconds = (time.perf_counter() - start) / N_CURVES * 1e3
            errors = [
                min((abs(found - j) for found in change_points(curve, penalty)), default=size)
                for curve, j in zip(planted, at, strict=True)
            ]
            near = [np.mean(np.array(errors) <= distance) for distance in (2, 10)]
            print(f"| {size} | {penalty} | {false_alarms:.3f} | {near[0]:.2f} | {near[1]:.2f} | {milliseconds:.1f} |")


if __name__ == "__main__":
    main()
