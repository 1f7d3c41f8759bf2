"""Does a memory model keep the contract? `checker.check_memory` runs every property."""
