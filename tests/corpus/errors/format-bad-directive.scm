(printf "~d items\n" 5)
