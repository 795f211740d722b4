(printf "%s items\n" 5)
