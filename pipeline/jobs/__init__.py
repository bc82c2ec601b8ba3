"""Jobs: config -> prepared job -> finished dataset.

inputs.py           flags -> checked tables, photos and encoders, before anything is written
known_encoders.py   fingerprints that an earlier run read, kept in the output
preparation.py      checked inputs -> recipe and plan, or why the output cannot take them
workshop.py         where units are made: what Ray's actors and one process's threads have in common
run.py              the one driver: what is missing of a dataset -> made, judged, finished
ending.py           records -> pictures, tables, manifest, and the summary of a run
"""
