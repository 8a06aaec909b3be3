"""What a model may cost: budgets, the cost of open units, and the price of a budget."""
