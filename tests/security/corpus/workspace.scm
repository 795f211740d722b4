;;; a way out by dots
;;; => error exn:fail:python "Error"
(py-exec "open('../outside.txt').read()")

;;; a way out by a link to a file
;;; => error exn:fail:python "Error"
(py-exec "open('link.txt').read()")

;;; a way out by a link to a folder
;;; => error exn:fail:python "Error"
(py-exec "open('up/outside.txt').read()")

;;; a link that leads to itself
;;; => error exn:fail:python "Error"
(py-exec "open('loop').read()")

;;; a pipe that nobody writes to
;;; => error exn:fail:python "Error"
(py-exec "open('pipe').read()")

;;; making a link that leads out
;;; => error exn:fail:python "Error"
(py-exec "import os; os.symlink('/etc/passwd', 'mine'); open('mine').read()")

;;; a path that is absolute
;;; => error exn:fail:python "Error"
(py-exec "import os; open(os.path.abspath('../outside.txt')).read()")

;;; more bytes than may be written
;;; => error exn:fail:python "workspace_bytes"
(py-exec "with open('large', 'w') as f: f.write('x' * 100000)")

;;; the same bytes written over and over
;;; => error exn:fail:python "workspace_bytes"
(py-exec "while True:\n  with open('same', 'w') as f: f.write('x' * 1000)")

;;; a hole of a terabyte
;;; => error exn:fail:python "Error"
(py-exec "f = open('hole', 'wb'); f.seek(1 << 40); f.write(b'x'); f.flush(); f.truncate(1 << 41)")

;;; what is there can be read
;;; => value "a note\n"
(py-eval "open('note.txt').read()")

;;; a name with a zero in it
;;; => error exn:fail:python "no name of a file"
(py-exec "open('a\\0b')")

;;; a picture of another kind than it says
;;; => error exn:fail:contract "no PNG"
(llm-query #:instruction "q" #:image "not.png")

;;; a picture that is a pipe
;;; => error exn:fail:contract "no PNG"
(llm-query #:instruction "q" #:image "pipe")

;;; a picture that is not there
;;; => error exn:fail:contract "none.png"
(llm-query #:instruction "q" #:image "none.png")

;;; a picture whose name has a zero in it
;;; => error exn:fail:contract "no name of a file"
(llm-query #:instruction "q" #:image "a.png\x0;.txt")
