"""How much a prompt holds: tokens, counted as the model will count them."""
