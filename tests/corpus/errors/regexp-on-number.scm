(regexp-match #rx"a" 42)
