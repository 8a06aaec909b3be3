"""How far a choice of columns may be from the best one: bounds, and branch and bound."""
