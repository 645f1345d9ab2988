"""How often the boundary's null declares a jump that is not there, and finds one that is: coverage and power.

    python bench/nulls.py [--trials 500] [--rows 1500] [--kinds decaying fall]

Five generators of `tests/support/populations.py`; 95 % intervals of the shares in brackets (Wilson).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.populations import WITH, WITHOUT, declared, population

from memviz.population import boundary_differences, wilson


def share(values: list[bool]) -> str:
    low, high = wilson(np.array(np.mean(values)), np.array(len(values)))
    return f"{100 * np.mean(values):5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--kinds", nargs="+", choices=(*WITHOUT, *WITH), default=(*WITHOUT, *WITH))
    options = parser.parse_args()
    print(f"{options.trials} populations of {options.rows} trained and {options.rows // 2} unlearnt rows each")
    for kind in options.kinds:
        tables = [
            boundary_differences([population(kind, options.rows, seed)], "frequency_1", 400, seed).set_index("group")
            for seed in range(options.trials)
        ]
        for group, sign in (("unmemorized", -1), ("memorized", 1)):
            lines = [table.loc[group].to_dict() for table in tables]
            found = [declared(line, sign) for line in lines]
            inside = [line["null_low"] <= line["above"] <= line["null_high"] for line in lines]
            print(f"{kind:10}  {group:11}  declared {share(found)}  within the band {share(inside)}", flush=True)


if __name__ == "__main__":
    main()
