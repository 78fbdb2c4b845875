"""How the embedded models were made: `make train-demo` runs it; no user needs it."""
