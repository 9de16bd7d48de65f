"""What comes after training, wired: errors measured, rows assessed, intervals and policies made, models compared."""
