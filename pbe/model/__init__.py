"""Model: a batch -> the noise that it predicts -> losses, or edited latents.

Files in the order of the flow:

    conditioner       exemplar features -> the UNet's context
    unet              noisy latents, masked latents, masks and context -> the noise
    one_token         makes the UNet cheaper where the context is one token
    schedule          the noise schedule, the only one
    prediction        what the UNet predicts, noise or velocity -> the noise
    objective         timesteps and masks -> what counts how much in what is minimised
    diffusion         adding noise, predicting it, losses
    paint_by_example  UNet and conditioner as one module to train
    guidance          computes once what the two halves of a guided batch share
    sampler           noise and conditions -> latents
    finite            what a part gave -> which part gave numbers that are not finite, and what to try
"""
