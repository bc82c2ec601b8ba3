"""Dashboards: what is on disk -> something to look at.

Files in the order of the flow:

    browse        the command
    config        its flags
    kinds         a folder -> what it holds: a dataset, a training, an evaluation, or edits
    conditions    --where -> an expression over the columns of a sample
    rows          a dataset, finished or not -> the samples to look at
    quality       index rows -> areas, cover, border, squash, strength of augmentation
    pictures      an index row -> what the trainer sees of the sample
    origins       flags and recipe -> a reader that knows where sources come from
    box_rows      box tables -> all rows of a seeded choice of photos
    fates         rows, drops and index -> what became of each box
    training_run  a training's folder -> losses, grids, validation losses by sample
    edits         a folder of edits -> cases with pictures, by guidance, seed and checkpoint
    comparison    an evaluation -> cases, the worst first, with every row's picture and scores
    loading       flags and a folder -> all that is to be shown, before FiftyOne is started
    console       what a command does -> lines, and a bar for what takes long
    places        where a page or a table is to be written -> refused at once, or written
    sheet/        samples, edits or trainings -> one HTML file
    app/          FiftyOne as a machine: its database, documents in bulk, its App served by us
    views/        what is on disk -> documents, saved views and pictures for the App
    panels/       the current view of the App -> the mean of its masks: a plugin
"""
