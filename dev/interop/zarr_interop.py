"""Reads an activation store with zarr-python and TensorStore, and writes an array for hsae to read.

    zarr_interop.py read STORE       one line of JSON for each array, read by both libraries
    zarr_interop.py write FOLDER     matrices as zarr-python writes them, in several layouts

Both print name, shape, type and the SHA-256 of all elements, row-major and little-endian.
"""

import hashlib
import json
import sys

import numpy
import tensorstore
import zarr


def line(reader, name, array):
    data = numpy.ascontiguousarray(array)
    data = data.astype(data.dtype.newbyteorder("<"), copy=False)
    print(
        json.dumps(
            {
                "reader": reader,
                "name": name,
                "shape": list(data.shape),
                "type": str(data.dtype),
                "sha256": hashlib.sha256(data.tobytes()).hexdigest(),
            }
        )
    )


def read(path):
    group = zarr.open_group(path, mode="r")
    for name, array in sorted(group.members(max_depth=None)):
        if not isinstance(array, zarr.Array):
            continue
        line("zarr", name, array[...])
        store = tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/{name}"}},
            open=True,
        ).result()
        line("tensorstore", name, store.read().result())


def write(folder):
    random = numpy.random.default_rng(7)
    rows = random.standard_normal((300, 12)).astype("f4")
    for name, type, chunks in [
        ("single", "f4", (64, 12)),
        ("half", "f2", (100, 12)),
        ("double", "f8", (300, 5)),
        ("whole", "f4", (300, 12)),
    ]:
        array = zarr.create_array(
            f"{folder}/{name}", shape=rows.shape, chunks=chunks, dtype=type, compressors=None
        )
        array[...] = rows.astype(type)
        line("zarr", name, rows.astype(type).astype("f4"))


{"read": read, "write": write}[sys.argv[1]](sys.argv[2])
