(setq x 5)
