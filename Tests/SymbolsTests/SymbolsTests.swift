// Symbols.
