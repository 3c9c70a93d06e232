"""What calls cost and who may spend it: prices, windows, and money held and spent."""
