"""Tables to tensors, one fit, and its resumption."""
