;; chibi/denied.scm — Chibi's libraries for files, processes, terminals, users and the network:
;; they can be imported, and every procedure of theirs says that the sandbox has no such thing.

;; Register a library whose every name is a procedure that refuses; but for those with one of their own.
(define (%define-denied-library! name what instead exports [others '()])
  (for-each (lambda (export) (%define-denied! export what instead)) exports)
  (%define-core-library! name (append others (map (lambda (export) (cons (%denied-name export) export)) exports))))
(define (%define-denied! export what instead)           ; the internal name
  (let ((internal (%denied-name export)))
    (unless (%environment-ref (%core-environment) internal #f)
      (%environment-define! (%core-environment) internal (%no-capability export what instead)))
    internal))
(define (%denied-name export) (%symbol-append '%denied: export))

;; Libraries ask where they are when they load: at the root of a file system that has nothing.
(define (%root-directory) "/")

(define %instead-of-files "use get-context, checkpoint and restore, or string ports")

(%define-denied-library! '(chibi filesystem) "file system" %instead-of-files
  '(duplicate-file-descriptor duplicate-file-descriptor-to close-file-descriptor
    renumber-file-descriptor open-input-file-descriptor open-output-file-descriptor delete-file
    link-file symbolic-link-file rename-file directory-files directory-fold directory-fold-tree
    delete-file-hierarchy delete-directory create-directory create-directory*
    change-directory with-directory open open-pipe make-fifo open-output-file/append read-link
    file-status file-link-status file-device file-inode file-mode file-num-links file-owner
    file-group file-represented-device file-size file-block-size file-num-blocks
    file-access-time file-change-time file-modification-time file-modification-time/safe
    file-regular? file-directory? file-character? file-block? file-fifo? file-link? file-socket?
    file-exists? get-file-descriptor-flags set-file-descriptor-flags!
    get-file-descriptor-status set-file-descriptor-status! open/read open/write open/read-write
    open/create open/exclusive open/truncate open/append open/non-block file-lock file-truncate
    file-is-readable? file-is-writable? file-is-executable? chmod chown is-a-tty? lock/shared
    lock/exclusive lock/non-blocking lock/unlock)
  '((%root-directory . current-directory)))

(%define-denied-library! '(chibi process) "processes" "use (finish value) to end the program"
  '(exit emergency-exit sleep alarm %fork fork kill execute waitpid system system?
    process-command-line process-running? set-signal-action! make-signal-set signal-set?
    signal-set-contains? signal-set-fill! signal-set-add! signal-set-delete!
    current-signal-mask current-process-id parent-process-id signal-mask-block!
    signal-mask-unblock! signal-mask-set! signal/hang-up signal/interrupt signal/quit
    signal/illegal signal/abort signal/fpe signal/kill signal/segv signal/pipe signal/alarm
    signal/term signal/user1 signal/user2 signal/child signal/continue signal/stop
    signal/tty-stop signal/tty-input signal/tty-output wait/no-hang call-with-process-io
    process->bytevector process->string process->sexp process->string-list
    process->output+error process->output+error+status))

;; Nobody is known here: it says of everybody what Chibi's says of a user or group that is not there.
(define (%nobody name-or-id) #f)
(%define-denied-library! '(chibi system) "users" #f
  '(get-host-name user? user-name user-password user-id user-group-id user-gecos user-home
    user-shell group? group-name group-password group-id current-user-id current-group-id
    current-effective-user-id current-effective-group-id set-current-user-id!
    set-current-effective-user-id! set-current-group-id! set-current-effective-group-id!
    current-session-id create-session set-root-directory!)
  '((%nobody . user-information) (%nobody . group-information)))

(%define-denied-library! '(chibi stty) "terminal" #f
  '(stty with-stty with-raw-io get-terminal-width get-terminal-dimensions TCSANOW TCSADRAIN
    TCSAFLUSH winsize winsize? make-winsize winsize-row winsize-col termios term-attrs?
    make-term-attrs))

(%define-denied-library! '(chibi pty) "terminal" #f
  '(open-pty fork-pty login-tty open-pty-process call-with-pty-process-io))

(%define-denied-library! '(chibi net) "network" "use llm-query or the host's functions"
  '(sockaddr? address-info? get-address-info make-address-info socket connect bind accept listen
    open-socket-pair sockaddr-name sockaddr-port make-sockaddr with-net-io open-net-io
    make-listener-socket send receive! receive send/non-blocking receive!/non-blocking
    receive/non-blocking address-info-family address-info-socket-type address-info-protocol
    address-info-flags address-info-address address-info-address-length
    address-info-canonname address-info-next address-family/unix address-family/inet
    address-family/inet6 address-family/unspecified socket-type/stream socket-type/datagram
    socket-type/raw ip-proto/ip ip-proto/icmp ip-proto/tcp ip-proto/udp ai/passive ai/canonname
    ai/numeric-host get-socket-option set-socket-option! level/socket socket-opt/debug
    socket-opt/broadcast socket-opt/reuseaddr socket-opt/keepalive socket-opt/oobinline
    socket-opt/sndbuf socket-opt/rcvbuf socket-opt/dontroute socket-opt/rcvlowat
    socket-opt/sndlowat get-peer-name sockaddr addrinfo))

(%define-denied-library! '(chibi heap-stats) "view of its own heap" #f
  '(heap-stats heap-sizes heap-dump free-sizes))
(%define-denied-library! '(chibi disasm) "disassembler" #f '(disasm))
