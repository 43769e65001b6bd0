"""Tables to tensors, and tensors to trained models."""
