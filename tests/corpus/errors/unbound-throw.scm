(throw "bad thing")
