"""Training: a config and a dataset -> checkpoints, metrics and a model.

Files in the order of the flow; the first three import no torch:

    config          flags, presets, the paper's switches
    run_folder      OUT: one training at a time, what it is made from, its checkpoints and log
    checks          flags, dataset and OUT -> a refusal before anything is loaded
    session         a config -> a trained model: opens everything, trains, exports
    ranks           the launcher's environment -> one process among the others
    frozen          the dataset's VAE and CLIP, where something is encoded live
    memory          parameters, precision, stage, ranks -> bytes a rank
    engine          model and config -> DeepSpeed's ZeRO
    moving_average  the weights after each step -> their average
    run             the parts of a training under way, and what it counts
    checkpoint      a run between two steps <-> OUT/checkpoints
    loop            a run -> its optimiser steps, one row each
    observations    the losses of a global batch -> the numbers of a row
    validation      a run -> its loss on fixed draws
    sample_grids    a few fixed samples -> what the model paints for them
    telemetry       rows -> metrics.jsonl, TensorBoard, the progress bar, loss.png
"""
