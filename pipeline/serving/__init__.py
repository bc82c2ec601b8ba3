"""Serving: a port of this machine, and who may ask there. For pages that ask nobody who they are.

Files in the order of the flow:

    ports    --port -> a port of 127.0.0.1 that is held
    callers  a request -> nothing, or why it is refused
"""
