(display #foo)
