"""What can be said about a problem before its fit: findings, and a report of them."""
