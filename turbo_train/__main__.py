"""`python -m turbo_train`, which is how `accelerate launch --module turbo_train` starts it."""

from turbo_train.cli import main

main()
