"""Blended Diffusion: an unconditional pixel model and a CLIP -> a hole painted as a text or an image says.

After Avrahami et al., Blended Diffusion for Text-driven Editing of Natural Images, CVPR 2022, and its public code.

Files in the order of the flow:

    schedule       how many steps to take -> what each of them needs of the noise schedule
"""
