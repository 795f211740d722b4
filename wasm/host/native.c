/* native.c — the driver of the debug build: the core as an ordinary process, see build/native.py.
 *
 *   native [--steps N] [--collect-every N] [--memory-mib N] [--seconds N] --prelude FILE ... -- [PROGRAM]
 *   native ... --sessions
 *
 * It boots the prelude as build/make_guest.py does, by the messages of rlm.h. Then it runs one
 * program, from a file or standard input, and prints its output, and its value or error; or it
 * serves sessions: each frame on standard input (four bytes of length, a message) is run in a process
 * of its own, forked from the booted one, and what the machine says comes back in frames on standard
 * output (a byte of status, four of length, an outbox). A host operation has nobody to answer it here:
 * the program ends where it waits.
 */
#include "core/heap.h"
#include "rlm.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t steps_a_slice = 20000;   /* few, so that time slices end in the middle of things */
static uint32_t seconds = 0;            /* of a session: it ends by SIGALRM after so many; 0: never */

static _Noreturn void die(const char *what, const char *which) {
  fprintf(stderr, "native: %s %s%s%s\n", what, which, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(2);
}

/* ---- bytes ---- */
typedef struct { uint8_t *data; size_t length; } Bytes;

static Bytes read_all(FILE *file, const char *name) {
  Bytes b = {NULL, 0};
  for (size_t room = 0, n = 1; n; b.length += n) {
    if (b.length == room) {
      room = room ? room * 2 : 65536;
      b.data = realloc(b.data, room);
      if (!b.data) die("no memory for", name);
    }
    n = fread(b.data + b.length, 1, room - b.length, file);
    if (ferror(file)) die("cannot read", name);
  }
  return b;
}
static Bytes read_file(const char *name) {
  FILE *file = fopen(name, "rb");
  if (!file) die("cannot open", name);
  Bytes b = read_all(file, name);
  fclose(file);
  return b;
}

/* ---- CBOR: as much as these messages need ---- */
static uint8_t *put_head(uint8_t *at, uint8_t major, uint32_t n) {
  *at++ = (uint8_t)(major << 5 | 26);
  for (int shift = 24; shift >= 0; shift -= 8) *at++ = (uint8_t)(n >> shift);
  return at;
}
static uint8_t *put_text(uint8_t *at, const char *text, size_t length) {
  at = put_head(at, 3, (uint32_t)length);
  memcpy(at, text, length);
  return at + length;
}
static void put_inbox(const uint8_t *message, uint32_t length) {
  uint32_t inbox = rlm_inbox(length);
  if (!inbox) die("no room for", "a message");
  memcpy((void *)(uintptr_t)inbox, message, length);
}
/* [kind, {"source": ..., "name": ...}] in the inbox; kind has fewer than 24 characters. */
static uint32_t put_message(const char *kind, Bytes source, const char *name) {
  uint8_t *start = malloc(source.length + strlen(kind) + strlen(name) + 64), *at = start;
  if (!start) die("no memory for", name);
  *at++ = 0x82;
  *at++ = (uint8_t)(0x60 + strlen(kind));
  memcpy(at, kind, strlen(kind));
  at += strlen(kind);
  *at++ = 0xa2;
  at = put_text(at, "source", 6);
  at = put_text(at, (const char *)source.data, source.length);
  at = put_text(at, "name", 4);
  at = put_text(at, name, strlen(name));
  uint32_t length = (uint32_t)(at - start);
  put_inbox(start, length);
  free(start);
  return length;
}

/* An item: its kind and number; `at` moves behind its head, which is all of it but for text. */
typedef struct { uint8_t major, info; uint64_t n; } Head;
enum { UINT, NEGATIVE, BYTE_STRING, TEXT, ARRAY, MAP, TAGGED, SIMPLE, INDEFINITE = 31 };

static Head take_head(const uint8_t **at) {
  Head h = {**at >> 5, **at & 31, **at & 31};
  (*at)++;
  if (h.info >= 24 && h.info < 28) {
    h.n = 0;
    for (int i = 1 << (h.info - 24); i > 0; i--) h.n = h.n << 8 | *(*at)++;
  }
  return h;
}
static void skip(const uint8_t **at) {
  for (uint64_t left = 1; left; left--) {
    Head h = take_head(at);
    if (h.major == BYTE_STRING || h.major == TEXT) *at += h.n;
    else if (h.major == ARRAY) left += h.n;
    else if (h.major == MAP) left += 2 * h.n;
    else if (h.major == TAGGED) left++;
  }
}
static bool text_is(const uint8_t *at, const char *text) {
  Head h = take_head(&at);
  return h.major == TEXT && h.n == strlen(text) && memcmp(at, text, h.n) == 0;
}
static void print_text(FILE *to, const uint8_t *at) {
  Head h = take_head(&at);
  if (h.major == TEXT || h.major == BYTE_STRING) fwrite(at, 1, h.n, to);
  else if (h.major == UINT) fprintf(to, "%llu", (unsigned long long)h.n);
}
/* The value of a key in a map of text keys; NULL where it is not there. */
static const uint8_t *find(const uint8_t *at, const char *key) {
  Head h = take_head(&at);
  if (h.major == TAGGED) {              /* a table of another kind: [kind, map] */
    take_head(&at);
    skip(&at);
    h = take_head(&at);
  }
  if (h.major != MAP) return NULL;
  for (uint64_t i = 0; i < h.n; i++) {
    bool hit = text_is(at, key);
    skip(&at);
    if (hit) return at;
    skip(&at);
  }
  return NULL;
}

/* ---- one program on the terminal ---- */
static int print_outcome(const uint8_t *outcome) {
  const uint8_t *status = find(outcome, "status"), *value = find(outcome, "value"), *error = find(outcome, "error");
  if (value) { print_text(stdout, value); putchar('\n'); }
  if (!error) return status && text_is(status, "ok") ? 0 : 1;
  static const char *const fields[] = {"type", "message", "source", "line", "column", "hint"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const uint8_t *field = find(error, fields[i]);
    if (!field) continue;
    fprintf(stderr, "%s: ", fields[i]);
    print_text(stderr, field);
    fputc('\n', stderr);
  }
  return 1;
}

/* Prints what the machine says; returns the exit status once it has ended, else -1. */
static int print_outbox(void) {
  const uint8_t *at = (const uint8_t *)(uintptr_t)rlm_outbox(), *end = at + rlm_outbox_length();
  int ended = -1;
  for (at++; at < end && *at != 0xff;) {     /* an array of indefinite length */
    const uint8_t *item = at, *second;
    skip(&at);
    take_head(&item);
    second = item;
    skip(&second);
    if (text_is(item, "done")) ended = print_outcome(second);
    else if (text_is(item, "failed")) { print_text(stderr, second); fputc('\n', stderr); ended = 2; }
    else if (text_is(item, "note")) {
      const uint8_t *text = second;
      skip(&text);
      if (text_is(second, "out")) print_text(stdout, text);
      else if (text_is(second, "err")) print_text(stderr, text);
    }
  }
  return ended;
}

static int run_program(const char *name) {
  bool file = strcmp(name, "-") != 0;
  Bytes source = file ? read_file(name) : read_all(stdin, name);
  uint32_t length = put_message("eval", source, "program");
  free(source.data);
  for (;; length = 0) {
    int32_t status = rlm_run(length, steps_a_slice);
    int ended = print_outbox();
    if (ended >= 0) return ended;
    if (status == RLM_SUSPENDED) { fputs("native: the program waits for a host operation\n", stderr); return 3; }
    if (status != RLM_PREEMPTED) return status == RLM_DONE ? 0 : 2;
  }
}

/* ---- sessions ---- */
static bool read_exactly(void *to, size_t n) { return fread(to, 1, n, stdin) == n; }
static void write_frame(uint8_t kind, const void *data, uint32_t length) {
  uint8_t head[5] = {kind, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  fwrite(head, 1, sizeof head, stdout);
  fwrite(data, 1, length, stdout);
  fflush(stdout);
}
enum { FRAME_END = 255 };               /* of a session: its data is "exit N" or "signal N"; the others: rlm_status, an outbox */

static void serve(uint32_t length) {    /* the message is in the inbox */
  for (;; length = 0) {
    int32_t status = rlm_run(length, steps_a_slice);
    write_frame((uint8_t)status, (void *)(uintptr_t)rlm_outbox(), rlm_outbox_length());
    if (status != RLM_PREEMPTED) return;
  }
}
static int serve_sessions(void) {
  uint8_t head[4];
  write_frame(RLM_DONE, "\x9f\xff", 2);       /* booted */
  while (read_exactly(head, sizeof head)) {
    uint32_t length = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    uint8_t *message = malloc(length);
    if (!message || !read_exactly(message, length)) die("cut short:", "a message");
    pid_t child = fork();
    if (child < 0) die("cannot start", "a session");
    if (child == 0) {
      alarm(seconds);
      put_inbox(message, length);
      serve(length);
      _exit(0);
    }
    free(message);
    int outcome;
    if (waitpid(child, &outcome, 0) < 0) die("lost", "a session");
    char text[32];
    int n = WIFSIGNALED(outcome) ? snprintf(text, sizeof text, "signal %d", WTERMSIG(outcome))
                                 : snprintf(text, sizeof text, "exit %d", WEXITSTATUS(outcome));
    write_frame(FRAME_END, text, (uint32_t)n);
  }
  return 0;
}

/* ---- boot ---- */
static void boot_file(const char *name) {
  Bytes source = read_file(name);
  uint32_t length = put_message("boot", source, name);
  free(source.data);
  if (rlm_run(length, INT64_MAX / 2) != RLM_DONE) {
    print_outbox();
    die("cannot boot", name);
  }
}
static void seal(void) {
  put_inbox((const uint8_t *)"\x81\x64seal", 6);
  rlm_run(6, INT64_MAX / 2);
}

int main(int argc, char **argv) {
  uint32_t every = 0, mib = 0;
  bool sessions = false;
  int i = 1;
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--sessions") == 0) sessions = true;
    else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) steps_a_slice = atoll(argv[++i]);
    else if (strcmp(argv[i], "--collect-every") == 0 && i + 1 < argc) every = (uint32_t)atoll(argv[++i]);
    else if (strcmp(argv[i], "--memory-mib") == 0 && i + 1 < argc) mib = (uint32_t)atoll(argv[++i]);
    else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) seconds = (uint32_t)atoll(argv[++i]);
    else if (strcmp(argv[i], "--prelude") == 0) {
      for (i++; i < argc && strcmp(argv[i], "--") != 0; i++) boot_file(argv[i]);
    } else die("unknown option", argv[i]);
  }
  seal();
  heap_collect_every = every;
  if (mib && mib * 256 < heap_page_limit) heap_page_limit = mib * 256;
  return sessions ? serve_sessions() : run_program(i < argc ? argv[i] : "-");
}
