"""From conversations to tokens: the chat template, the scored span, groups of comparable checkpoints."""
