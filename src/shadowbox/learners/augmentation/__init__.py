"""Changed inputs of training, by which a policy knows more than its recordings show."""
