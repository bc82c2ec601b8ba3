"""Encoders: pixels <-> latents; exemplars -> vectors.

Files in the order of the flow; the first three import no torch:

    names         what --vae and --clip may say -> where the weights are
    protocols     the members that make something an encoder
    facts         config.json and file stamps -> shapes, and which version of the weights it is
    libraries     diffusers and transformers, quiet
    fingerprints  loaded weights -> a hash; what else equal bits need
    untrained     small encoders that have learned nothing
    pixels        uint8 pictures -> the tensors that encoders take
    latents       images <-> scaled latents
    reading       what --vae and --clip name -> the tensors and config of an encoder
    building      tensors and configs of encoders -> modules
    vae           sources -> latents
    clip          exemplars -> vectors
    loading       both encoders of a dataset, on a device
"""
