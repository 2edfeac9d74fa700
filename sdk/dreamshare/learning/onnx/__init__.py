"""Learning without torch: bundles that `dreamshare export` made, run by onnxruntime."""
