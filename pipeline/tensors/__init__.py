"""Tensors: a file or folder of weights -> tensors by name. Nothing in a file is imported, called or looked for outside.

Files in the order of the flow; the first three import no torch:

    configs       a JSON file of a model's folder -> what it says
    weight_files  a folder -> the file of its weights, or the shards that an index names
    hub           a hub id -> a local folder with configs and weights
    pickles       a pickle -> plain containers, and where the bytes of its tensors lie
    torch_files   what torch.save wrote -> tensors
    reading       a file, or the folder of one part of a model <-> tensors
    names         tensors as any version of the libraries saved them -> the names used here
    learning      tensors of a network -> whether any training has moved its norms
    fitting       a module and tensors -> what does not fit, or is not finite; those that fit -> into the module
"""
