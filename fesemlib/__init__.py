"""Mass transfer coefficients of freeze-dried products, read from FESEM micrographs.

The package behind the notebooks of the book. Each module is one step of the way from a
micrograph to a prediction; importing the package itself loads none of them, so that reading a
micrograph never waits for TensorFlow.
"""
