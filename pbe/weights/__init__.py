"""Weights: published and own weights <-> modules, folders and checkpoints.

Files in the order of the flow; the first five import no torch:

    model_files     a model's name -> its folder or file, and what its configs say
    hole_sides      how large a training's holes were -> quantiles in the model's note
    own_note        pbe.json, what our own model folders say about themselves
    averages        raw weights, and their moving average beside them -> those that --weights chooses
    hub             a model's name -> the folder of its configs
    ldm_names       names in the original code <-> names in diffusers
    ldm_buffers     what the original code keeps beside its weights: its schedule, and an average's names
    ldm_checkpoint  tensors of the original code <-> tensors of diffusers; a model -> a .ckpt
    reading         a folder, file or hub id -> the tensors and configs of all parts
    building        tensors and configs -> modules
    named_encoders  --vae and --exemplar-encoder -> modules
    misfits         parts of a model -> why they do not fit each other or a layout
    parts           names -> all that editing needs
    opening         a model's folder -> diffusers' own pipeline
    export          a model -> diffusers' folder or ours
    conversion      weights of any form -> a folder or a checkpoint
"""
