(raise-argument-error 'my-proc "positive?" -5)
