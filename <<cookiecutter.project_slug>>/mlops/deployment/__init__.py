"""CloudFormation stacks, and the version that is live in them."""
