"""Running: methods and a bench -> pictures, scores and a summary, part by part, each done or not.

Files in the order of the flow:

    run            all of it, step by step
    opening        flags -> bench and methods, with all that is wrong said first
    output         --out -> the place of this evaluation, or why it cannot be
    comparison     what is compared: rows, and parts of a few cases each
    records        what is known of a part that is done, and whether it still holds
    finished       what a summary follows from, and whether the one that is there holds
    working        parts that lack pictures or scores -> both
    editing        a part -> its pictures and record
    scorer         pictures -> scores, by the encoders that there are
    scores_files   a part's scores on disk
    real_features  a folder of real pictures, or a file -> what sets are measured by
    distances      features of all pictures -> the Fréchet distance of each row
    copies         a bench -> what copy-paste scores are held against
    facts          what there is to score with -> columns, banners and notes
    summing        all scores -> the summary
"""
