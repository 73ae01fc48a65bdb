"""How much one agent and one address may ask for, counted in memory that the workers share."""
