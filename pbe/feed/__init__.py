"""Feed: shards -> batches, in an order that depends on dataset, seed and epoch alone.

Files in the order of the flow:

    config         what can be set
    contents       table of shards -> what the first draws hold, and what differs from another time
    dataset        URL -> its shards, its sizes, the index of any shard; imports no networks
    order          sample counts -> which sample fills which slot of which global batch
    blocks         runs of samples in a shard -> windows on their bytes, local or by range requests
    shard_cache    shards on object storage -> complete files on local disk
    columns        a stored sample -> its row in some of a batch's arrays: what all columns share
    tensor_column  latents, masked latents, exemplar vectors
    exemplar_column exemplar pictures, as stored or augmented live
    mask_columns   masks, drawn or boxes, and the sources that box masks blank
    sample_reader  places -> what their samples hold; bad samples
    noise          ordinals -> noise, timesteps, guidance drops
    readers        dataset and config -> the columns, the way to the bytes, batches prepared ahead
    training_feed  all of it: endless batches from any position on, for each rank
    fixed_batches  the same batches every time, for validation and sample grids
    loader         the same shards by plain webdataset, for a training loop of your own
"""
