"""How every benchmark leaves what it found: the numbers, and the machine and versions that gave them."""

import json
import os
import platform

import numpy as np
import torch

from modescope.store.provenance import processor


def leave(found, output):
    """Print the numbers with machine and versions, and write them to a file if one is named."""
    machine = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    versions = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    text = json.dumps({**found, "machine": machine, "versions": versions}, indent=2)
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n")
