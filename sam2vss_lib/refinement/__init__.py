"""SAM2 as a refiner: masklets vote (Eq. 2), overlaps are resolved, labels are painted (Eq. 1)."""
