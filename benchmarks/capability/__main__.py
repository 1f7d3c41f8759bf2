"""`python -m benchmarks.capability`."""

from benchmarks.capability import main

main()
