"""The vote rules, a module each; `VOTES` of the room's registry names them."""
