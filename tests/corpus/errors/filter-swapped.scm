(filter '(1 2 3) even?)
