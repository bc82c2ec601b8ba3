"""What crosses a disk or process border: columns, records, and where each file of a dataset lies.

Files in the order of the flow:

    boxes        the box table's columns, and BOXES
    pairs        the same for pairs of your own, with the files of each
    drops        what left, at which stage, for which reason
    plan         the rows of a plan: units, their boxes, places in tar files
    samples      a sample's key, its members, its index row
    shards       where each file of a dataset lies; the record of a finished unit
    validation   what a model in training lost on each validation sample
    grid_scores  how like their exemplars a model in training paints its sample grids
    scores       one row for each case and row of a comparison of methods
    features     what a cache keeps of the pictures that an encoder has seen
    overlap      a row for each pair of photos that a training set shares with a bench
    tagged       boxes that somebody tagged while looking, and may deny
"""
