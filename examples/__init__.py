"""Examples: a tutorial to run, and the making of the small model that ships with the project.

Files and rooms in the order of the flow:

    execute        a notebook -> the same with the outputs of a run, as it is committed
    small_model    photos and scenes -> what the shipped model was trained on
"""
