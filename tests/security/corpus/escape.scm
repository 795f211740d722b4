;;; reading a file of the host
;;; => error exn:fail:capability "no file system"
(read-line (open-input-file "/etc/passwd"))

;;; writing a file of the host
;;; => error exn:fail:capability "no file system"
(call-with-port (open-output-file "/tmp/escaped") (lambda (p) (write 1 p)))

;;; loading code of the host
;;; => error exn:fail:capability "no file system"
(load "/etc/passwd")

;;; running a command
;;; => error exn:fail:contract:variable "system"
(system "id")

;;; reading the environment: it is empty
;;; => value "#f"
(get-environment-variable "OPENAI_API_KEY")

;;; the same by the import of a library
;;; => value "()"
(import (scheme process-context))
(get-environment-variables)

;;; importing the library of files
;;; => error exn:fail:capability "delete-file"
(import (scheme file))
(delete-file "/tmp/x")

;;; ending the process
;;; => error exn:fail:contract "no process to leave"
(exit 0)

;;; ending the process without a word
;;; => error exn:fail:capability "no process to end"
(emergency-exit 1)

;;; opening a connection
;;; => error exn:fail:syntax "no network"
(tcp-connect "169.254.169.254" 80)

;;; calling an internal operation by its name in the core
;;; => error exn:fail:contract:variable "%outbox!"
(%outbox! (bytevector 1 2 3))

;;; asking the host by the prelude's own procedure
;;; => error exn:fail:contract:variable "%request"
(%request "py-exec" "import os")

;;; calling an internal operation in an environment that eval was given
;;; => error exn:fail:contract:variable "%request"
(eval '(%request "context-slice" 0 1) (interaction-environment))

;;; calling it through a macro that could have another scope
;;; => error exn:fail:contract:variable "%encode-request"
(define-syntax sneak (er-macro-transformer (lambda (form rename compare) (list (rename '%encode-request) 1 "llm" ''()))))
(sneak)

;;; calling it through a syntactic closure over the null environment
;;; => error exn:fail:contract:variable "%new-handle"
(define-syntax sneak (sc-macro-transformer (lambda (form env) '(%new-handle))))
(sneak)

;;; making the internal name out of parts
;;; => error exn:fail:contract:variable "%request"
(eval (list (string->symbol (string-append "%" "request")) "now"))

;;; a host function that was not granted
;;; => error exn:fail:contract:variable "host-delete"
(host-delete "everything")

;;; the context of another session
;;; => error exn:fail:capability "no context"
(get-context "another session's")

;;; a context by a name that is a path
;;; => error exn:fail:capability "no context"
(get-context "../../etc/passwd")

;;; reading beyond the end of the context
;;; => value ""
(context-slice 99999999 999999999)

;;; reading before its beginning
;;; => error exn:fail:contract "context-slice"
(context-slice -5 10)

;;; a picture beside the workspace
;;; => error exn:fail:capability "outside of the workspace"
(llm-query #:instruction "q" #:image "../outside.txt")

;;; a picture through a link
;;; => error exn:fail:capability "links are not followed"
(llm-query #:instruction "q" #:image "link.png")

;;; a picture by a URL that the host would fetch
;;; => error exn:fail:contract "URLs are not fetched"
(llm-query #:instruction "q" #:image "http://169.254.169.254/latest/meta-data")

;;; forging a scoped value, so that a text counts as opened
;;; => error exn:fail:contract:variable "%make-syntax"
(syntax-e (%make-syntax "text" "sub"))

;;; reaching memory by an index too large
;;; => error exn:fail:contract "index"
(vector-ref (make-vector 10 0) 4294967296)

;;; reaching memory by a negative index
;;; => error exn:fail:contract "exact-nonnegative-integer?"
(bytevector-u8-ref (make-bytevector 10 0) -1)

;;; copying over the end of a bytevector
;;; => error exn:fail:contract "bytevector-copy!"
(let ((b (make-bytevector 10 0))) (bytevector-copy! b 8 (make-bytevector 10 1)) b)

;;; a substring whose end wraps around
;;; => error exn:fail:contract "substring"
(substring "abc" 1 18446744073709551615)

;;; a struct's accessor on another struct with more fields
;;; => error exn:fail:contract "b-y"
(struct a (x)) (struct b (x y)) (b-y (a 1))

;;; changing a constant of the prelude for others
;;; => value "3"
(let () (define-syntax car (syntax-rules () ((_ x) 'mine))) (car '(1)) (+ 1 2))

;;; giving + another meaning: it is this session's own
;;; => value "-1"
;;; then: "-1"
(define (+ a b) (- a b)) (+ 1 2)

;;; changing a procedure that the prelude itself uses
;;; => value "(2 3)"
(set! map (lambda x 'mine)) (for/list ([i '(1 2)]) (add1 i))

;;; changing a list that the prelude holds
;;; => error exn:fail:contract "immutable"
(string-set! (symbol->string 'car) 0 #\x)
