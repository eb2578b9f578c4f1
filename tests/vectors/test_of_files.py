"""Files brought together: judgements, pictures and groups find their items by the ids that people wrote."""

from itertools import pairwise

import numpy as np
import pandas as pd
from PIL import Image

from compat_core.vectors.checks import WARN
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.of_files import DecisionFiles, given_from_files

IDS = [f"{row:03}" for row in range(60)]


def table(path, emb):
    frame = pd.DataFrame(emb).rename(columns=str)
    frame.insert(0, "id", IDS)
    frame.to_csv(path, index=False)
    return FileSpec(path)


def test_ids_with_leading_zeros_find_judgements_pictures_and_groups(tmp_path):
    emb = np.random.default_rng(0).normal(size=(60, 4))
    (tmp_path / "judged.qrels").write_text("".join(f"{one} 0 {two} 1\n" for one, two in pairwise(IDS)))
    (tmp_path / "pictures").mkdir()
    for row, name in enumerate(IDS):
        Image.new("L", (8, 8), 4 * row).save(tmp_path / "pictures" / f"{name}.png")
    regions = pd.DataFrame({"id": IDS[::-1], "region": ["NA", "EU", "AP"] * 20})
    regions.to_csv(tmp_path / "items.csv", index=False)
    given, findings = given_from_files(
        DecisionFiles(
            table(tmp_path / "old.csv", emb), table(tmp_path / "new.csv", emb[:, ::-1] + 1),
            qrels=FileSpec(tmp_path / "judged.qrels"), images=FileSpec(tmp_path / "pictures"),
            groups={"region": FileSpec(tmp_path / "items.csv", "region")},
        )
    )  # fmt: skip
    assert given.ids.tolist() == IDS and not [one for one in findings if one.severity == WARN]
    assert [given.pictures.picture(row).getpixel((0, 0))[0] for row in range(60)] == [4 * row for row in range(60)]
    assert given.pictures.caption(7) == "007"
    assert given.groups["region"].tolist() == ["AP", "EU", "NA"] * 20
