"""Published figures as data, for reading beside one's own: direction and share of the gain, never value by value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One published comparison; values in percent as printed.

    Attributes:
        method: our name of the method, as in the registry (with parameters where they matter).
        setting: data set and split, or training and test data.
        metric: as printed.
        old: old/old.
        cross: the cross test, new/old or new/h(old).
        paragon: new/new of the unconstrained new model.
        own: new/new of the method's own new model; None where it is the paragon.
        source: paper and arXiv id.
        note: where the setting is not ours, in a few words.
    """

    method: str
    setting: str
    metric: str
    old: float
    cross: float
    paragon: float
    own: float | None
    source: str
    note: str = ""

    @property
    def share(self) -> float:
        """(cross − old) / (paragon − old), a fraction; below 0 where the cross test falls below the status quo."""
        return (self.cross - self.old) / (self.paragon - self.old)

    @property
    def cost(self) -> float | None:
        """paragon − own in points; None where the new model is left alone."""
        return None if self.own is None else self.paragon - self.own


_BCT = "BCT, arXiv 2003.11942"
_FCT = "FCT, arXiv 2112.02805 (released runs)"
_ADV = "AdvBCT, arXiv 2305.02610 (its table)"
_FACES = "IMDB-Face → IJB-C, 50 % → 100 %"
_CIFAR = "CIFAR-100, 50 → 100 classes"
_IMAGENET = "ImageNet, 500 → 1000 classes"
_LANDMARKS = "GLDv2 → RParis, R18, 30 % → all"
_OUTSIDE = "its SimCLR encoder saw ImageNet-1000, not the old data alone"

PUBLISHED: tuple[Published, ...] = (
    Published("independent", _FACES, "TAR@FAR=1e-4", 77.86, 0.0, 86.96, None, _BCT),
    Published("l2", _FACES, "TAR@FAR=1e-4", 77.86, 3.10, 86.96, None, _BCT),
    Published("lwf", _FACES, "TAR@FAR=1e-4", 77.86, 77.26, 86.96, None, _BCT),
    Published("bct", _FACES, "TAR@FAR=1e-4", 77.86, 80.25, 86.96, 85.36, _BCT),
    Published("bct-kd", _FACES, "TAR@FAR=1e-4", 77.86, 80.34, 86.96, 84.95, _BCT),
    Published("bct-sys", _FACES, "TAR@FAR=1e-4", 77.86, 80.59, 86.96, 85.58, _BCT),
    Published("bct", _FACES, "TPIR@FPIR=1e-2", 59.34, 67.23, 76.88, 73.86, _BCT),
    Published("bct-kd", _FACES, "TPIR@FPIR=1e-2", 59.34, 69.02, 76.88, 73.56, _BCT),
    Published("bct-sys", _FACES, "TPIR@FPIR=1e-2", 59.34, 70.70, 76.88, 74.40, _BCT),
    Published("fct:side=none", _CIFAR, "CMC@1", 34.2, 47.2, 56.5, None, _FCT),
    Published("fct:side=none", _CIFAR, "mAP", 16.5, 25.8, 36.3, None, _FCT),
    Published("fct:side=simclr", _CIFAR, "CMC@1", 34.2, 50.2, 56.5, None, _FCT, _OUTSIDE),
    Published("fct:side=simclr", _CIFAR, "mAP", 16.5, 32.2, 36.3, None, _FCT, _OUTSIDE),
    Published("fct:side=none", _IMAGENET, "CMC@1", 46.4, 61.8, 68.4, None, _FCT),
    Published("fct:side=none", _IMAGENET, "mAP", 28.3, 39.9, 45.6, None, _FCT),
    Published("fct:side=simclr", _IMAGENET, "CMC@1", 46.4, 65.1, 68.4, None, _FCT),
    Published("fct:side=simclr", _IMAGENET, "mAP", 28.3, 44.0, 45.6, None, _FCT),
    Published("bct", _LANDMARKS, "mAP", 75.45, 77.37, 81.15, 80.58, _ADV, "a port that skips new classes"),
    Published("lce", _LANDMARKS, "mAP", 75.45, 77.83, 81.15, 81.57, _ADV, "a port with an angular bound per item"),
)
