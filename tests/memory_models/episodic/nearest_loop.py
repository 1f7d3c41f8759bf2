"""Choosing the nearest rows by sorting, with the ties of `slot_reads.nearest`."""

import numpy as np


def nearest(distances, ages, count, slots):
    """Indices of the nearest: by distance cut to the bits beside the age, then age."""
    bits = max(slots - 1, 1).bit_length()
    coarse = np.float32(distances).view(np.int32) >> bits
    return sorted(range(len(ages)), key=lambda i: (coarse[i], ages[i]))[:count]
