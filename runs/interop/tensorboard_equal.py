"""Checks that TensorBoard reads from RUN/tensorboard what is in RUN/metrics.jsonl. Called by runs/tensorboard.sh."""

import json
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, SCALARS, EventAccumulator

NAMES = {
    "loss/total": "loss", "loss/reconstruction": "reconstruction", "loss/l1": "l1", "latents/l0": "l0",
    "training/learning_rate": "learningRate", "training/rows": "tokens",
    "quality/explained_variance": "explainedVariance",
}

run = sys.argv[1]
events = EventAccumulator(f"{run}/tensorboard", size_guidance={SCALARS: 0, HISTOGRAMS: 0})
events.Reload()
records = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
for tag, key in NAMES.items():
    found = [(event.step, np.float32(event.value)) for event in events.Scalars(tag)]
    expected = [(record["step"], np.float32(record[key])) for record in records if key in record]
    if found != expected:
        sys.exit(f"{tag}: {len(found)} values, which are not the {len(expected)} of the records")
tags = events.Tags()
counts = {tag: len(events.Histograms(tag)) for tag in tags["histograms"]}
print(f"{run}: {len(tags['scalars'])} scalars of {len(records)} records each, equal; histograms {counts}")
