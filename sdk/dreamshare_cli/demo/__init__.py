"""`dreamshare demo`: a federation of processes on one machine, on real handwritten digits."""
