"""The picture that a network learns on and its engine is asked with: one definition for cache, batches and manifest."""

from appliance.core.engine import InputSpec, Window

INPUT = InputSpec(
    name="image",
    size=224,
    spacing_mm=1.0,
    # All within -20 to 100 HU, so that a picture of a 120/40 window and Hounsfield values say the same.
    windows=(Window(center=40, width=80), Window(center=40, width=120), Window(center=55, width=50)),
)
