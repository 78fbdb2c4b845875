"""What a study will take: work, time, disk, and what limits it."""
