"""The first rows of a store, at their own lengths, as a float32 .npy: STORE FILE COUNT."""

import json
import sys

import numpy as np

store, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
chunk, width = json.load(open(f"{store}/directions/zarr.json"))["chunk_grid"]["configuration"]["chunk_shape"]
if count > chunk:
    sys.exit(f"At most {chunk} rows, the first chunk's.")
rows = np.fromfile(f"{store}/directions/c/0/0", np.float16, count * width).astype(np.float32)
norms = np.fromfile(f"{store}/norms/c/0", np.float32, count)
if not norms.all():
    sys.exit(f"{store} has rows of length 0; has its collection ended?")
np.save(path, rows.reshape(count, width) * norms[:, None])
