"""Fuzz: mutated inputs -> what is made of each, or a named reason; within seconds, and of a stated memory.

Files in the order of the flow:

    mutations  bytes -> other bytes
    running    subjects -> what came out, how long it took, what it needed
    photos     photos: a sample, or why there is none
    masks      masks: a sample, or why there is none
    tables     box tables: a plan, or a refusal that names the table
    models     models: a picture or tensors, or why there is none
    __main__   the command
"""
