(string-append "name: " 'bob)
