"""Which classes are taken for which, by whom and when?"""

import xarray as xr

from modescope.analyses.reading import dataset, labels, predicted_classes
from modescope.measures.confusion import confusion_counts
from modescope.store.predictions import read_class_names
from modescope.store.run import Run
from modescope.types import CLASS_PREDICTED, CLASS_TRUE, COUNT, EPOCH, MEMBER

QUESTION = "Which classes are taken for which, by whom and when?"
REFERENCE = "Confusion matrices after every epoch, as in the W&B report (Paul & Thakur 2020)"


def analyze(run: Run) -> xr.Dataset:
    """`count` (member, epoch, class_true, class_predicted)."""
    counts = confusion_counts(predicted_classes(run), labels(run), len(read_class_names(run)))
    axes = (MEMBER, EPOCH, CLASS_TRUE, CLASS_PREDICTED)
    variables = {"count": (axes, counts, COUNT, "test examples of a true class that were given a predicted class")}
    return dataset(run, "confusion", variables, question=QUESTION, reference=REFERENCE)
