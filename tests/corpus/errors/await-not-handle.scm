(await "text")
