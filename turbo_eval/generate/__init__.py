"""Plan and run the generation of videos."""
