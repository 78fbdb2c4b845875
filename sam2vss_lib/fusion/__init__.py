"""When to believe the vote and when the base model: evidence, the rules that weigh it, the gate.

The paper leaves "adaptive integration" to later work (Sec. 5); this room is about it. Every rule
starts from the window vote and may keep the base model's label where the two differ.
"""
