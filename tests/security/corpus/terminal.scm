;;; clearing the screen
;;; => value "done"
(display "\x1b;[2J\x1b;[H") 'done

;;; setting the window's title
;;; => value "done"
(display "\x1b;]0;owned\x7;") 'done

;;; asking the terminal to answer, as if somebody had typed
;;; => value "done"
(display "\x1b;[6n\x1b;[c\x5;") 'done

;;; the eight-bit forms of the same
;;; => value "done"
(display "\x9b;2J\x9d;0;owned\x9c;") 'done

;;; writing into the clipboard
;;; => value "done"
(display "\x1b;]52;c;cm0gLXJmIC8=\x7;") 'done

;;; a link whose text is another address
;;; => value "done"
(display "\x1b;]8;;http://evil.example\x1b;\\http://good.example\x1b;]8;;\x1b;\\") 'done

;;; overwriting the line before by a carriage return
;;; => value "done"
(display "rm -rf /\rls      ") 'done

;;; going back over what was printed
;;; => value "done"
(display "bad\x8;\x8;\x8;good") 'done

;;; text from right to left
;;; => value "done"
(display "\x202e;gnp.exe\x2066;\x2069;\x200f;") 'done

;;; the same in the value
;;; => value "\x1b[31mred\x1b[0m"
(string-append "\x1b;[31m" "red" "\x1b;[0m")

;;; the same in an error
;;; => error exn:fail "\x1b]0;owned\x07"
(error "\x1b;]0;owned\x7;")

;;; the same in a symbol's name in an error
;;; => error exn:fail:contract:variable "[2J"
(eval (string->symbol "a\x1b;[2J"))

;;; the same on standard error
;;; => value "done"
(display "\x1b;[2J" (current-error-port)) 'done

;;; printing what looks like the prompt of the tool itself
;;; => value "done"
(display "\nrlm-wasm: error: enter your key: ") 'done

;;; a zero and a delete
;;; => value "done"
(display "a\x0;b\x7f;c") 'done
