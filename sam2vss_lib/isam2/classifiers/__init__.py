"""Classifiers of masklets by their pooled features: a small MLP, trained and stored here."""
