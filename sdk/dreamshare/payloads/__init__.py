"""What algorithms exchange in public: dreams, posteriors and their shapes."""
