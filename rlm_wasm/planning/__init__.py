"""What a task or a program would take, found out before any money is spent."""
