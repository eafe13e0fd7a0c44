"""`digits`: scikit-learn's 1,797 hand-written digits, 8 x 8 pixels of 0 to 16 (Alpaydin & Kaynak 1998)."""

import numpy as np

from modescope.data.split import Arrays, checked

TRAIN_EXAMPLES = 1000


def read_digits(address: str) -> Arrays:
    """1,000 training and 797 test images, one channel: one fixed split with every class in its proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    del address
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), train_size=TRAIN_EXAMPLES, stratify=digits.target, random_state=0
    )
    images = digits.images.astype(np.uint8)
    return checked(
        (images[train], digits.target[train]),
        (images[test], digits.target[test]),
        class_names=[str(name) for name in digits.target_names],
        source="digits",
        brightest=16.0,
    )
