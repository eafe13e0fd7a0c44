"""Numbers on the page: each array once, as the compressed bytes of a typed array that a script can use as it is."""

import base64
import zlib
from dataclasses import dataclass, field

import numpy as np

_TYPES = {"f": "<f4", "b": "u1"}  # a screen has no use for float64; kinds that are not named are integers


@dataclass
class Arrays:
    """The arrays of a page.

    A script meets `{"$": NAME}` wherever `add` gave it, and finds `NAME` in `stored`: its shape, its type (as
    JavaScript names it) and its bytes, little-endian, compressed (zlib), as base64.
    """

    stored: dict[str, dict[str, object]] = field(default_factory=dict)
    _names: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def add(self, values: np.ndarray) -> dict[str, str]:
        """Store an array, unless the same one is there already; what stands for it in what scripts read."""
        plain = np.asarray(values)
        small = plain.astype(_TYPES[plain.dtype.kind]) if plain.dtype.kind in _TYPES else _smallest(plain)
        key = small.dtype.str, small.shape, small.tobytes()
        if key not in self._names:
            name = self._names[key] = f"a{len(self._names)}"
            self.stored[name] = {
                "type": _JAVASCRIPT[small.dtype.str],
                "shape": list(small.shape),
                "bytes": base64.b64encode(zlib.compress(key[2], 9)).decode(),
            }
        return {"$": self._names[key]}

    def scaled(self, values: np.ndarray, *, low: float, high: float) -> dict[str, object]:
        """Store numbers of a known range in 16 bits: their 65,534th parts of it, and 65,535 where there is none."""
        parts = (np.asarray(values, dtype=np.float64) - low) / (high - low) * 65534
        steps = np.where(np.isfinite(parts), np.clip(np.rint(parts), 0, 65534), 65535).astype("<u2")
        return {**self.add(steps), "low": low, "high": high}


_JAVASCRIPT = {
    "|u1": "Uint8Array", "|i1": "Int8Array", "<u2": "Uint16Array", "<i2": "Int16Array", "<i4": "Int32Array",
    "<f4": "Float32Array",
}  # fmt: skip


def _smallest(integers: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest type that holds them."""
    low, high = (int(integers.min()), int(integers.max())) if integers.size else (0, 0)
    for name in _JAVASCRIPT:
        found = np.dtype(name)
        if found.kind in "iu" and np.iinfo(found).min <= low and high <= np.iinfo(found).max:
            return integers.astype(found)
    raise ValueError(f"Integers from {low} to {high} do not fit 32 bits.")
