"""Arrays in, arrays out: similarity of weights and of functions, scores, calibration, hardness. No files, no labels."""
