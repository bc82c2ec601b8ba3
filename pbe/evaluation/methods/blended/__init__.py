"""Blended Diffusion: an unconditional pixel model and a CLIP -> a hole painted as a text or an image says.

After Avrahami et al., Blended Diffusion for Text-driven Editing of Natural Images, CVPR 2022, and its public code.

Files in the order of the flow:

    clip_files     a folder or hub id -> the files of a complete CLIP, or what of them is missing
    clip           the same -> vectors of pictures and of texts, in one space
    adm_names      diffusers' names of a UNet's tensors <-> those of OpenAI's guided-diffusion
    adm            a checkpoint of OpenAI's guided-diffusion -> an unconditional model of pixels
    schedule       how many steps to take -> what each of them needs of the noise schedule
    views          a picture -> the same picture as seen from several sides
    guidance       what is painted so far -> how far CLIP finds it from a text or an image
    sampler        a source, its hole, a model of pixels and a guide -> the source with the hole painted
    method         cases -> pictures
"""
