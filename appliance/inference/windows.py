"""Grey values as an engine sees them: the windows that its manifest lists, each one channel."""

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import InputSpec


def apply_windows(crop: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    """Return [windows, H, W] from HU [H, W]: clip((hu - (center - width / 2)) / width, 0, 1)."""
    image = np.empty((len(spec.windows), *crop.shape), dtype=np.float32)
    for channel, window in enumerate(spec.windows):
        low = np.float32(window.center - window.width / 2)
        np.subtract(crop, low, out=image[channel])
        image[channel] *= np.float32(1.0 / window.width)
        np.clip(image[channel], 0.0, 1.0, out=image[channel])
    return image
