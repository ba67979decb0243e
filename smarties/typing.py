"""The letters of array shapes, used in every docstring and annotation.

B  batch (images, or pairs of images)
H W  pixels, rows and columns
C  bands of a sensor
P  side of a patch, pixels
N  tokens (patches of an image; the CLS token comes on top)
D  width of a token
K  spectral ranges with a learned projection
L  labels
T  time steps
"""

from typing import Any

import jax
import numpy as np

Array = jax.Array | np.ndarray
Tree = Any  # a nested dict of arrays, or of their ShapeDtypeStructs
Key = jax.Array
