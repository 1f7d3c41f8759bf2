"""What the command lines share: words, listings, completion. Needs no JAX."""
