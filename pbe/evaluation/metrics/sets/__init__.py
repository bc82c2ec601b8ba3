"""Sets: features of many pictures -> how far they lie from real ones.

Files in the order of the flow:

    npz       named arrays <-> a file of which nothing is executed
    frechet   features of two sets -> the Fréchet distance between them
    real_set  features or statistics of real pictures <-> a file
    bias      a Fréchet distance -> the same with its floor and its extrapolation
    mixture   features of real pictures -> a mixture, and what it says of the quality of others
"""
