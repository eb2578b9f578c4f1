"""What claims are quoted from, and the published parameters that several of them hold a method to."""

from __future__ import annotations

from typing import Any

BCT = "BCT, Shen et al. 2020, arXiv 2003.11942"
FCT = "FCT, Ramanujan et al. 2022, arXiv 2112.02805"
FASTFILL = "FastFill, Jaeckle et al. 2023, arXiv 2303.04766"
LCE = "LCE, Meng et al. 2021, arXiv 2108.01958"

# Another weight, or all rows synthesised, is another experiment.
BETA: dict[str, Any] = {"weight": 1.0}
SYS: dict[str, Any] = {"weight": 1.0, "rows": "new"}
