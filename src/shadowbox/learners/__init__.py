"""What is learned: one file a learner."""
