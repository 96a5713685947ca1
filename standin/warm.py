"""What a process imports to be ready for programs that use boto3; see `forkserver`."""

from standin import models

models.read()
