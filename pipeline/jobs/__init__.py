"""Jobs: config -> prepared job -> finished dataset.

Files in the order of the flow:

    inputs          flags -> inputs that have been looked at
    known_encoders  the fingerprints that an earlier run read, kept in the output
    preparation     inputs and fingerprints -> recipe and plan, before any unit is made
    lost_photos     photos that finished units lost, read again -> the units that should be made anew
    retrying        these units -> no longer finished: how --retry-drops goes
    workshop        unit tasks -> results, on Ray's actors or on threads: what both have in common
    run             inputs and a workshop -> a finished dataset: the one driver
    next_steps      a finished dataset -> the command that trains on it
    ending          records -> pictures, tables, manifest, and the report of a run
"""
