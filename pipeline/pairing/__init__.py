"""Pairing: photos with masks of your own -> the same job.

Files in the order of the flow:

    fine_tuning     a model's configs -> its resolution, and the command that trains it on the dataset
    config          flags -> a shard job's config
    folder          a folder -> which files belong together
    table           files that belong together -> PAIRS, with their digests
    store           PAIRS -> photos by id, and the bytes of their masks and exemplars
    draws           photo, mask, exemplar -> a drawn sample
    given_pictures  the files of a pair -> mask and exemplar, decoded -> a drawn sample
    making          unit tasks -> results, on the threads of this process
    report          drops -> which pairs gave less than they might
"""
