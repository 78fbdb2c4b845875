"""Table 1 and Figure 3: SAM2 as a refiner."""
