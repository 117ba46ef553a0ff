"""From the rewards of sampled responses to preference data that trainers read."""
