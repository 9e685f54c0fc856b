"""The first rows of a store, at their own lengths, as a float32 .npy: STORE FILE COUNT."""

import json
import sys

import numpy as np

store, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
description = json.load(open(f"{store}/directions/zarr.json"))
chunk, width = description["chunk_grid"]["configuration"]["chunk_shape"]
if count > description["shape"][0]:
    sys.exit(f"{store} has fewer rows.")
directions = []
for number in range((count + chunk - 1) // chunk):
    part = min(chunk, count - number * chunk)
    directions.append(np.fromfile(f"{store}/directions/c/{number}/0", np.float16, part * width))
norms = np.fromfile(f"{store}/norms/c/0", np.float32, count)
if not norms.all():
    sys.exit(f"{store} has rows of length 0; has its collection ended?")
np.save(path, np.concatenate(directions).astype(np.float32).reshape(count, width) * norms[:, None])
