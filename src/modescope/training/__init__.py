"""One member's training: schedules, optimisers, one epoch, evaluation, and the loop over epochs."""
