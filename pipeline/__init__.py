"""Open Images tables and photos -> draws -> shards. Pure functions; no Ray.

Files in the order of the flow:

    pairs            the verb for pairs of your own: a folder -> a dataset
    fit_encoders     the verb for encoders without training: photos -> a codec and an exemplar encoder
    config           flags and presets of the shard job
    boxes/           tables -> BOXES -> the first rule that drops each row
    planning/        BOXES -> units of photos
    photos/          image id -> bytes, from folders and tars
    decoding/        bytes -> upright sRGB, or the reason why not
    draws/           photo and box -> source, mask, exemplar
    tensors/         files and folders of weights -> tensors
    encoders/        sources -> latents, exemplars -> vectors
    fitting/         photos -> encoders in closed form
    units/           a unit of photos -> its shards, one a draw
    shards/          a dataset on disk: samples, records, recipe, manifest
    pictures/        dataset -> overview.png and funnel.png
    pages/           pictures and numbers -> HTML files that ask for nothing outside themselves
    verification/    dataset -> what is wrong with it
    jobs/            config -> prepared job -> finished dataset
    pairing/         photos with masks of your own -> the same job
    serving/         a port and its callers
    storage/         any fsspec URL -> complete files
    recorded_inputs  a dataset's flags, as recorded -> the tables and photos that are still there
    command          a user's mistake or a storage fault -> one message and an exit code
    hints            what was made -> the command to run next, as a shell reads it
    run_log          the runs of a command -> when each began, when and how it ended
    errors           errors that the user can fix
    rng              seed, stage, key -> a generator: all randomness
    ahead            items -> results, made a few items before they are asked for
    arrays           what the arrays and tuples mean that cross modules
"""

import time

STARTED = time.monotonic()  # before the heavy imports, which a summary's seconds include
