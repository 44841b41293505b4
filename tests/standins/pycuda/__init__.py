"""A stand-in for pycuda, for tests on a machine without a graphics card."""
