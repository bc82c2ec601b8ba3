"""Editing: model, source, mask and exemplar -> pictures.

Files in the order of the flow; only the last three import torch:

    config         flags
    case           one picture to edit
    case_table     flags or a CSV -> cases
    outputs        --out -> where pictures go; pictures -> files
    records        what a finished case is made from <-> NAME.json, to go on
    finished       NAME.json -> a finished case, to look at
    checks         flags and the model's configs -> a refusal before anything is loaded
    inputs         files, URLs, images or arrays -> source, mask, exemplar
    case_checks    cases -> all that is wrong with their pictures, before anything is loaded
    canvas         a source of any size -> the crop that is edited, and back with a seam
    figure         a case's pictures -> one labelled figure
    contact_sheet  finished cases of a table -> one picture of them all
    ending         how an edit ended -> what is printed: what to look at, what to run next
    editor         a loaded model and pictures -> edited pictures
    as_diffusers   the same preparation as diffusers' pipeline
    run            cases -> pictures on disk, batch by batch
"""
