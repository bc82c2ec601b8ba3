"""Methods: opened cases -> edited pictures. One small file each, behind one protocol.

Files and rooms in the order of the flow:

    protocol          what every method is, a stranger's too
    naming            NAME[@LABEL][=PATH] ... -> methods, each with a name of its own
    strangers         module:object[=ARG] -> a method that somebody else wrote
    checks            what a method returned -> a picture of its case, or why it is none
    attempts          a method and a few cases -> pictures of each, or why there are none
    weight_digests    files of weights -> a digest of their bytes, remembered by sizes and times
    untrained         files of weights -> which of them have learned nothing
    once              how to load weights -> the weights, loaded at the first call
    controls          methods whose result is known beforehand
    pictures          a folder of finished pictures -> those pictures
    by_example        a model of this project's kind, or a checkpoint of its ablation -> edited pictures
    random_exemplar   the same with the exemplar of another case
    stable_diffusion  Stable Diffusion inpainting: a label -> edited pictures
    scripted          a file of TorchScript -> a network from a picture and its mask to a picture
    cutting_out       an exemplar -> its object, by rembg or GrabCut
    lama              LaMa, paste, harmonise: an exemplar's object pasted into a filled hole
    blended           Blended Diffusion, guided by text or by an image
"""
