"""What is wrong with this device, and what to do: `dreamshare agent doctor`.

Rules:
- looking changes nothing: no store is opened, no journal, no session of the device's is taken over;
- each finding says what was seen and, where something is wrong, what to do about it.
"""

from dreamshare_edge.doctor.examine import Examination, examine
from dreamshare_edge.doctor.findings import Finding, Severity

__all__ = ["Examination", "Finding", "Severity", "examine"]
