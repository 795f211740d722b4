(frobnicate-the-widget 1 2)
