"""A map of functions: points near each other predict alike."""

import numpy as np
from jaxtyping import Float

_FEATURES = 2**14  # looked at together


def principal_coordinates(vectors: Float[np.ndarray, "point feature"]) -> Float[np.ndarray, "point axis"]:
    """The points in the axes of their principal components, that of the largest variance first.

    A rotation onto the points' own span: it keeps every distance, and makes 100,000 features as cheap as there are
    points. Units are those of the vectors; each axis has mean 0, and its largest coordinate is positive.

    Reference: Jolliffe (2002), Principal Component Analysis, chapter 3; by way of the points' inner products.
    """
    values, directions = np.linalg.eigh(_centred_products(vectors))
    coordinates = (directions * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    # a sign that does not hang on the linear-algebra library
    largest = np.abs(coordinates).argmax(axis=0)
    return coordinates * np.where(coordinates[largest, np.arange(len(vectors))] < 0, -1, 1)


def tsne(
    coordinates: Float[np.ndarray, "point axis"], *, perplexity: float, seed: int
) -> tuple[Float[np.ndarray, "point 2"], float]:
    """t-SNE in two dimensions, started from the two principal components.

    Perplexity is lowered to a third of the other points where there are few.

    Reference: van der Maaten & Hinton (2008); scikit-learn's implementation and defaults, as in the paper's notebook,
    but with a seed and a start that give the same picture each time.

    Args:
        coordinates: At least three points, from `principal_coordinates`.
        perplexity: The number of neighbours that count.
        seed: Of a jitter of a ten-thousandth of the start's spread: states that predict alike, such as members with one
            initialisation, would otherwise never part.

    Returns:
        The points' places, and the perplexity that was used.

    Raises:
        ValueError: There are fewer than three points.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    points = len(coordinates)
    if points < 3:
        raise ValueError(f"t-SNE needs at least three points, not {points}.")
    used = min(perplexity, (points - 1) / 3)
    jitter = np.random.default_rng(seed).normal(scale=1e-8, size=(points, 2))
    start = coordinates[:, :2] / max(coordinates[:, 0].std(), 1e-300) * 1e-4 + jitter
    # one thread: a thousand small steps gain nothing from more, and lose tenfold on a busy machine
    with threadpool_limits(1, user_api="openmp"):
        embedded = TSNE(perplexity=used, init=start, random_state=seed).fit_transform(coordinates)
    return embedded.astype(np.float64), used


def _centred_products(vectors: Float[np.ndarray, "point feature"]) -> Float[np.ndarray, "point point"]:
    """Products of the vectors less their mean, in float64, without a float64 copy of all of them."""
    products = np.zeros((len(vectors), len(vectors)))
    for start in range(0, vectors.shape[1], _FEATURES):
        block = vectors[:, start : start + _FEATURES].astype(np.float64)
        block -= block.mean(axis=0)
        products += block @ block.T
    return products
