(raise 'something-wrong)
