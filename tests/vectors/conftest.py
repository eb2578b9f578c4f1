"""Fixtures of the tests of vectors."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def save(tmp_path):
    def write(name, content):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".npy":
            np.save(path, content, allow_pickle=True)
        elif path.suffix == ".npz":
            np.savez(path, **content)
        elif path.suffix == ".parquet":
            pq.write_table(pa.table(content), path)
        else:
            pd.DataFrame(content).to_csv(path, index=False)
        return str(path)

    return write
