"""User accounts as others see them."""
