(sqrt "16")
