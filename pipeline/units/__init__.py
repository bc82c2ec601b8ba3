"""Units: a unit of photos -> its shards, one a draw.

Files in the order of the flow:

    earlier_draws   finished draws of a unit -> the photos that they lost and hold
    planned_photos  a photo of the plan -> its bytes -> its pixels
    drawn_photos    drawn photos of a unit: bytes -> pixels -> draws
    one_shard       drawn photos of one draw -> shard, index, drops, record
    rows            a drawn sample -> its index row
    tars            encoded samples -> a tar, with the byte spans of its members
    maker           a unit of photos -> its shards: all of the above
"""
