"""The page, and the answer in plain words that stands on it and ends `modescope run`."""
