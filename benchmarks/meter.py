"""The privacy meter against the published figures, and how long it takes.

    python benchmarks/meter.py

Vuvuzela (SOSP'15) gives about 200,000 rounds at epsilon = ln 2 and delta = 1e-4 for mu = 300,000 and
b = 13,800. Prints, for that, for half and one and a half times as much, and for some small settings, how many
rounds both accountants allow, the tight delta at 200,000, and the seconds the tight accountant took: to load,
for one composition, and for the whole search. Ends with 1 if the published figure does not come out.
"""

from __future__ import annotations

import json
import math
import sys
import time

from iirs.meter.noise_budget import TheoremAccountant, TightAccountant
from iirs.noise import Noise

_EPSILON, _DELTA = math.log(2), 1e-4
_PUBLISHED_SETUPS = 200_000
_SETTINGS = (
    Noise(150_000, 7_300),
    Noise(300_000, 13_800),
    Noise(450_000, 20_000),
    Noise(1_000, 48),
    Noise(10_000, 482),
    Noise(100, 3),
)


def main() -> int:
    rows = [_row(noise) for noise in _SETTINGS]
    print(json.dumps(rows, indent=1))
    published = rows[1]
    agrees = _PUBLISHED_SETUPS <= published["theorem_setups"] <= published["tight_setups"]
    print(
        f"mu = 300,000, b = 13,800: 200,000 rounds at epsilon ln 2, delta 1e-4: {'yes' if agrees else 'NO'}",
        file=sys.stderr,
    )
    return 0 if agrees else 1


def _row(noise: Noise) -> dict[str, float]:
    theorem = TheoremAccountant(noise)
    began = time.perf_counter()
    tight = TightAccountant(noise)
    loaded = time.perf_counter()
    delta = tight.delta(_PUBLISHED_SETUPS, _EPSILON)
    composed = time.perf_counter()
    rounds = tight.setups_within(_EPSILON, _DELTA)
    return {
        "mu": noise.mu,
        "b": noise.b,
        "epsilon_a_setup": round(noise.epsilon, 6),
        "theorem_setups": theorem.setups_within(_EPSILON, _DELTA),
        "tight_setups": rounds,
        "tight_delta_at_200000": delta,
        "load_s": round(loaded - began, 3),
        "compose_200000_s": round(composed - loaded, 3),
        "search_s": round(time.perf_counter() - composed, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
