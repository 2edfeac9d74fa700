"""Noise for a task: what an operator asks for, how much that takes, and whether it means anything.

    privacy = Privacy(clip=1.0, epsilon=8.0, delta=1e-6)
    noise = plan_noise(dims=2560, sums=1, crowd=Crowd(most=100, honest=48), privacy=privacy)
    print(noise.multiplier, noise.epsilon, noise.noise_to_signal)

What is protected, against whom and at which sizes: docs/privacy.md.
"""

from dreamshare.privacy.planning import Crowd, NoisePlan, least_multiplier, plan_noise
from dreamshare.privacy.wanted import ExampleNoise, Noise, Privacy

__all__ = [
    "Crowd",
    "ExampleNoise",
    "Noise",
    "NoisePlan",
    "Privacy",
    "least_multiplier",
    "plan_noise",
]
