"""What a run reads: its columns, the numbers derived of them, each row's role, a sample of the rows, the rows as features."""
