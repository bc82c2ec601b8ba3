"""Model: the UNet, its conditioner, its noise schedule and its sampler."""
