"""Windows for eyes. What a header asks for is for its own viewers; these are fixed."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import Window
from appliance.core.reads import Hounsfield

BRAIN: Final = Window(center=40, width=80)
SUBDURAL: Final = Window(center=75, width=215)
STROKE: Final = Window(center=40, width=40)
BONE: Final = Window(center=600, width=2800)

WINDOWS: Final = {"brain": BRAIN, "subdural": SUBDURAL, "stroke": STROKE, "bone": BONE}


def windowed(hu: Hounsfield | NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Grey values 0 to 1, float32, of the shape of `hu`."""
    low = np.float32(window.center - window.width / 2)
    grey = (hu.astype(np.float32) - low) * np.float32(1 / window.width)
    return np.clip(grey, 0.0, 1.0, out=grey)
