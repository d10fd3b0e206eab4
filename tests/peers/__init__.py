"""Real engines beside ours: how to start them, what to ask them, and what they answered."""
