"""What is agreed: the round machines of both roles, their plans and their messages."""
