;;; reading a file of the host
;;; => error exn:fail:python "Error"
(py-exec "open('/etc/passwd').read()")

;;; running a command
;;; => error exn:fail:python "Error"
(py-exec "import subprocess; subprocess.run(['id'])")

;;; opening a connection
;;; => error exn:fail:python "Error"
(py-exec "import socket; socket.create_connection(('169.254.169.254', 80))")

;;; the environment has nothing of the host's
;;; => value "#t"
(not (py-eval "any('KEY' in k or 'TOKEN' in k or k == 'HOME' for k in __import__('os').environ)"))

;;; native code by ctypes
;;; => error exn:fail:python "ctypes"
(py-exec "import ctypes; ctypes.string_at(0)")

;;; a loop without an end
;;; => limit fuel
(py-exec "while True: pass")

;;; memory without end: a MemoryError, which can be caught
;;; => value "out of memory"
(guard (e (#t "out of memory")) (py-exec "x = []\nwhile True: x.append(bytearray(1 << 20))"))

;;; a recursion without end
;;; => error exn:fail:python "RecursionError"
(py-exec "def f(): f()\nf()")

;;; ending the process
;;; => error exn:fail:python "SystemExit"
(py-exec "import sys; sys.exit(3)")

;;; ending it at once
;;; => error exn:fail:python "exit"
(py-exec "import os; os._exit(3)")

;;; an interrupt
;;; => error exn:fail:python "KeyboardInterrupt"
(py-exec "raise KeyboardInterrupt")

;;; a set whose members would collide in the host's own sets
;;; => value "5000"
(length (py-eval "set(k*(2**61-1) for k in range(5000))"))

;;; a list that contains itself
;;; => error exn:fail:python "contains itself"
(py-eval "(lambda l: (l.append(l), l)[1])([])")

;;; an object whose repr raises
;;; => value "fine"
(py-exec "class A:\n  def __repr__(self): raise ValueError('no')\n") (guard (e (#t 'fine)) (py-eval "A()") 'fine)

;;; an object whose repr has megabytes
;;; => value "fine"
(py-exec "class A:\n  def __repr__(self): return 'x' * 5000000\n") (guard (e (#t 'fine)) (py-eval "A()") 'fine)

;;; output without end
;;; => limit fuel
(py-exec "while True: print('spam' * 100)")

;;; a value larger than a message
;;; => error exn:fail:python "bytes"
(string-length (py-eval "'x' * 3000000"))

;;; code that is no code
;;; => error exn:fail:python "SyntaxError"
(py-exec "def f(:")

;;; code with a zero in it
;;; => error exn:fail:python "null"
(py-exec "a = 1\x0;")

;;; a name that is none
;;; => error exn:fail:contract "no name of a Python variable"
(py-set! "__import__('os')" 1)

;;; code of a hundred thousand brackets
;;; => error exn:fail:python "Error"
(py-exec (make-string 100000 #\())

;;; a builtin that is replaced is so in this session's Python alone
;;; => value "3"
(py-exec "import builtins\nbuiltins.len = lambda x: 3") (py-eval "len('')")

;;; an object of Python that was forged
;;; => error exn:fail:contract "first argument must be a Python object"
(py-call 12345 "append" 1)
