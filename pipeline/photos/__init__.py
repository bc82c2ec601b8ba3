"""Photos: id -> bytes, from folders and tars.

Files in the order of the flow:

    formats        which names may be photos, which decoders are tried
    id_forms       what ids look like; the path of a file -> the ids that may mean it
    archives       a tar of photos -> where each photo lies in it
    loose_files    a local folder -> where each photo lies in it
    bounded_reads  a name in a folder -> a picture's bytes, within a limit
    copies         several places of a photo -> the same bytes, or a refusal
    store          image id -> bytes, from folders and tars
    fingerprints   a photo -> hashes of its bytes and of its looks
    sample_photos  photos in scikit-image and scikit-learn -> an Open Images folder
"""
