"""Run each needed backbone once per video."""
