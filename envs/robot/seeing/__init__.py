"""What is seen of the table: by policies as vectors and through cameras, by people."""
