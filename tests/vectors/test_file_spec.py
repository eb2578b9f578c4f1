"""``FILE:NAME`` means one thing to every reader."""

from pathlib import Path

import pytest

from compat_core.errors import CompatError
from compat_core.vectors.file_spec import FileSpec


@pytest.mark.parametrize(
    ("text", "path", "column", "kind"),
    [
        ("old.npy", "old.npy", "", ".npy"),
        ("OLD.NPZ:One", "OLD.NPZ", "One", ".npz"),
        ("labels.csv:product.category", "labels.csv", "product.category", ".csv"),
        ("labels.csv:shop:city", "labels.csv", "shop:city", ".csv"),
        ("a/b.parquet:x.npy", "a/b.parquet", "x.npy", ".parquet"),
        ("a:b.npy", "a:b.npy", "", ".npy"),
        ("a:b.npz:x", "a:b.npz", "x", ".npz"),
        ("judged:1.qrels", "judged:1.qrels", "", ".qrels"),
        ("pictures", "pictures", "", ""),
    ],
)
def test_a_name_follows_the_file_it_is_in(text, path, column, kind):
    spec = FileSpec.parse(text)
    assert spec == FileSpec(Path(path), column) and spec.kind == kind
    assert str(spec) == text and FileSpec.parse(str(spec)) == FileSpec.parse(spec) == spec
    assert FileSpec.parse(Path(text)) == spec


def test_what_is_no_file_of_arrays_is_said(tmp_path, monkeypatch):
    with pytest.raises(CompatError, match="no such file"):
        FileSpec(tmp_path / "gone.npy").of_arrays()
    (tmp_path / "a.txt").write_text("1 2")
    with pytest.raises(CompatError, match="must end in"):
        FileSpec(tmp_path / "a.txt").of_arrays()
    assert FileSpec(tmp_path / "a.txt").existing().path == tmp_path / "a.txt"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(CompatError, match="by this account"):
        FileSpec(tmp_path / "a.txt").existing()
