"""The numbers of the face protocols, as data: 1:1 verification and 1:N open-set identification over templates."""

from __future__ import annotations

from dataclasses import dataclass

from compat_core.errors import unknown_name
from compat_core.registry import Registry

VERIFICATION, IDENTIFICATION = "verification", "identification"


@dataclass(frozen=True, slots=True)
class ProtocolMetric:
    """One number of a protocol.

    Attributes:
        name: how tables and files call it; where ``rate`` is set, followed by ``=`` and the rate (``TAR@FAR=0.001``).
        title: how people call it, in full.
        protocol: ``verification`` or ``identification``.
        low, high: its range.
        direction: +1 where higher is better, −1 where lower is.
        rate: what its operating point fixes (``FAR``), empty where it has none.
        formula: the definition, in plain characters.
        help: one or two sentences for someone who meets it for the first time.
        version: raised when the definition changes.
        reference: where the definition comes from.
    """

    name: str
    title: str
    protocol: str
    low: float
    high: float
    direction: int
    rate: str
    formula: str
    help: str
    version: int
    reference: str

    def at(self, rate: float) -> str:
        """The name of this metric at one operating point: ``TAR@FAR=0.001``."""
        return f"{self.name}={rate:g}"


_BCT = "BCT, arXiv:2003.11942, Sec. 4; ISO/IEC 19795-1"
_FAWCETT = "Fawcett, Pattern Recognition Letters 27, 2006"

PROTOCOL_METRICS: Registry[ProtocolMetric] = Registry("protocol metric")
for _entry in (
    ProtocolMetric(
        "TAR@FAR", "True-accept rate at a false-accept rate", VERIFICATION, 0.0, 1.0, 1, "FAR",
        "accepted genuine pairs / genuine pairs, with at most floor(FAR · impostor pairs) impostors accepted",
        "Of all pairs that show the same class, the share accepted when only so many pairs of different classes may "
        "be. Refused where fewer than ten impostor pairs lie below the rate.",
        1, _BCT,
    ),
    ProtocolMetric(
        "EER", "Equal error rate", VERIFICATION, 0.0, 1.0, -1, "",
        "the rate where false accepts and false rejects are equally frequent",
        "One number for the whole trade-off of verification; 50 % is chance.",
        1, "ISO/IEC 19795-1",
    ),
    ProtocolMetric(
        "ROC-AUC", "Area under the ROC curve", VERIFICATION, 0.0, 1.0, 1, "",
        "share of (genuine, impostor) combinations in which the genuine pair scores higher, ties half",
        "How well scores separate pairs of the same class from pairs of different classes, at no particular "
        "threshold; 50 % is chance.",
        1, _FAWCETT,
    ),
    ProtocolMetric(
        "TPIR@FPIR", "True-positive identification rate at a false-positive rate", IDENTIFICATION, 0.0, 1.0, 1, "FPIR",
        "mated probes whose mate is first and above the threshold / mated probes",
        "Of all probes whose class is enrolled, the share found, when only so many probes of classes nobody enrolled "
        "may be taken for somebody. (BCT's tables print TNIR; TPIR is meant.)",
        1, _BCT,
    ),
    ProtocolMetric(
        "rank-1", "Rank-1 identification rate", IDENTIFICATION, 0.0, 1.0, 1, "",
        "mated probes whose mate is first / mated probes",
        "Closed-set identification: no threshold, only probes whose class is enrolled.",
        1, _BCT,
    ),
    ProtocolMetric(
        "rank-5", "Rank-5 identification rate", IDENTIFICATION, 0.0, 1.0, 1, "",
        "mated probes whose mate is among the first five / mated probes",
        "As rank-1, with five attempts.",
        1, _BCT,
    ),
):  # fmt: skip
    PROTOCOL_METRICS.add(_entry)


def protocol_metric(name: str) -> ProtocolMetric:
    """The entry behind a result's metric name, its operating point left off (``TAR@FAR=0.001`` is ``TAR@FAR``).

    Raises:
        CompatError: for an unknown name, with the nearest known one.
    """
    base = name.partition("=")[0]
    if base not in PROTOCOL_METRICS:
        raise unknown_name("protocol metric", name, PROTOCOL_METRICS.names())
    return PROTOCOL_METRICS.get(base)
