"""Pairing: photos with masks of your own -> the same job.

config.py           flags -> a shard job's config
folder.py           a folder or pairs.csv -> which files belong together
table.py            files that belong together -> PAIRS, with a digest of each
store.py            PAIRS -> photos by id
given_pictures.py   the files of a pair -> mask and exemplar, decoded
draws.py            photo, mask and exemplar -> source, mask and exemplar of a sample
making.py           units -> results, on the threads of this process
report.py           drops -> what the user should know
"""
