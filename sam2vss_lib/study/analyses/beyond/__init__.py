"""Beyond the paper: rules that weigh evidence, and what learns when to trust masklets."""
