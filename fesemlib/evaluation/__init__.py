"""What the numbers of a leave-one-out mean, and what they depend on."""
