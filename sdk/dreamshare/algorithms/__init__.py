"""What is learnt: algorithms as four functions and a frozen config."""
