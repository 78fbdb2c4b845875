"""The rules that weigh evidence, a module each; `VOTES` of refinement names them."""
