"""Planning: BOXES -> units of photos.

Files in the order of the flow:

    row_counts      what a plan is made from, and what became of every row
    hashing         a column of ids -> 64-bit hashes
    spill           a stream of tables -> partitions by hash on local disk
    spilled_tables  box, image-info and tar tables, and --deny -> such partitions
    repeats         a partition of boxes -> which rows repeat another
    denials         a partition of boxes and of --deny -> which boxes are denied
    box_fates       a partition of boxes -> kept boxes, drops, counts
    photo_order     kept boxes -> the order of photos and draws, and their splits
    plan_files      photos in that order -> units on disk, and back
    plan            the steps above, one after the other
    tasks           rows of the plan -> a unit's task, and its photos
"""
