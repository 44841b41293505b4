"""python build_engine.py [ENGINE]: the TensorRT plan of an engine, proven before it may serve. --help says more."""

import sys

try:
    from appliance.building.command import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}. Set it up: make build-setup; then run this by "
        ".venv/bin/python. On a box: make install EXTRAS=build; then by /opt/bleedwatch/venv/bin/python"
    )

if __name__ == "__main__":
    main()
