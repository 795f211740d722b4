/* regexp_parse.c — reads a pattern; the syntax, the checks and the wording are Racket's.
 *
 * Recursive descent. The pattern is the guest's, so that nesting is bounded.
 */
#include "text/regexp_parse.h"
#include "text/unicode.h"
#include <stdlib.h>

enum { MAX_NESTING = 200, MAX_PATTERN = 1 << 20, SCRATCH_RANGES = 4096 };

typedef struct {
  Value source;
  uint32_t at, length;
  bool px, multi, no_case;
  uint32_t nesting, groups, highest_reference;
  Node *nodes;
  uint32_t used, capacity;
  Value sets;
  uint32_t sets_used;      /* words */
  Value failure;           /* a signal, once something went wrong */
  Tree *tree;
} Parser;

/* The set that is being read: ranges in any order, sorted when it is done. */
static struct { uint32_t ranges[2 * SCRATCH_RANGES]; uint32_t count, categories; bool negated, too_many; } scratch;

static uint32_t parse_choice(Parser *p);

/* ---- failing: the first failure stays, and parsing runs out at the end of the pattern ---- */

static uint32_t fail(Parser *p, const char *message) {
  if (p->failure == V_TRUE)
    p->failure = err_failf("exn:fail:contract", "%s: %s\n  pattern: %v", p->px ? "pregexp" : "regexp", message, p->source);
  p->at = p->length;
  return 0;
}

static bool failed(const Parser *p) { return p->failure != V_TRUE; }

/* ---- characters of the pattern ---- */

static const uint32_t NONE = 0xffffffff;
static uint32_t peek_at(const Parser *p, uint32_t offset) {
  return (uint64_t)p->at + offset < p->length ? string_char(p->source, p->at + offset) : NONE;
}
static uint32_t peek(const Parser *p) { return peek_at(p, 0); }
static bool looking_at(const Parser *p, const char *text) {
  for (uint32_t i = 0; text[i]; i++)
    if (peek_at(p, i) != (uint8_t)text[i]) return false;
  return true;
}
static bool accept(Parser *p, const char *text) {
  if (!looking_at(p, text)) return false;
  p->at += (uint32_t)strlen(text);
  return true;
}
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* Saturates: no number that big is meant. */
static uint32_t parse_number(Parser *p) {
  uint64_t n = 0;
  for (; is_digit(peek(p)); p->at++) n = n < 100000000 ? n * 10 + (peek(p) - '0') : n;
  return (uint32_t)n;
}

/* ---- nodes ---- */

static uint32_t new_node(Parser *p, enum node_kind kind, uint32_t a, uint32_t b) {
  if (p->used == p->capacity) return fail(p, "pattern is too large");
  p->nodes[p->used] = (Node){.kind = (uint8_t)kind, .a = a, .b = b};
  return p->used++;
}

static uint32_t node_around(Parser *p, enum node_kind kind, uint32_t a, uint32_t b, uint32_t child) {
  uint32_t node = new_node(p, kind, a, b);
  if (node) p->nodes[node].child = child;
  return node;
}

/* A chain of siblings: `last` is 0 at first. */
static void chain(Parser *p, uint32_t parent, uint32_t *last, uint32_t node) {
  if (!parent || !node) return;
  if (*last) p->nodes[*last].next = node;
  else p->nodes[parent].child = node;
  *last = node;
}

/* ---- sets ---- */

bool set_has_wide(const uint32_t *set, uint32_t c) {
  bool negated = set[SET_FLAGS] & SET_NEGATED;
  if (set[SET_CATEGORIES] >> uc_category(c) & 1) return !negated;
  uint32_t low = 0, high = set[SET_COUNT];
  const uint32_t *ranges = set + SET_RANGES;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (c < ranges[2 * middle]) high = middle;
    else if (c > ranges[2 * middle + 1]) low = middle + 1;
    else return !negated;
  }
  return negated;
}

static void set_start(bool negated) {
  scratch.count = scratch.categories = 0;
  scratch.negated = negated;
  scratch.too_many = false;
}

static int compare_ranges(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* Sorts and merges. */
static void set_tidy(void) {
  qsort(scratch.ranges, scratch.count, 8, compare_ranges);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < scratch.count; i++) {
    uint32_t first = scratch.ranges[2 * i], last = scratch.ranges[2 * i + 1];
    if (kept && first <= scratch.ranges[2 * kept - 1] + 1) {
      if (last > scratch.ranges[2 * kept - 1]) scratch.ranges[2 * kept - 1] = last;
      continue;
    }
    scratch.ranges[2 * kept] = first;
    scratch.ranges[2 * kept++ + 1] = last;
  }
  scratch.count = kept;
}

static void add_range(uint32_t first, uint32_t last) {
  if (scratch.count == SCRATCH_RANGES) set_tidy();
  if (scratch.count == SCRATCH_RANGES) {
    scratch.too_many = true;
    return;
  }
  uint32_t n = scratch.count;
  if (n && first == scratch.ranges[2 * n - 1] + 1) {
    scratch.ranges[2 * n - 1] = last;
    return;
  }
  scratch.ranges[2 * n] = first;
  scratch.ranges[2 * n + 1] = last;
  scratch.count++;
}

/* With the other cases of every character where case does not matter. */
enum { LAST_CASED = 0x1e943 };
static void add_span(const Parser *p, uint32_t first, uint32_t last) {
  add_range(first, last);
  if (!p->no_case) return;
  charge(((last < LAST_CASED ? last : LAST_CASED) - (first < LAST_CASED ? first : LAST_CASED)) / 2);
  for (int which = 0; which < 3; which++)
    for (uint32_t c = first; c <= last && c <= LAST_CASED; c++) {
      uint32_t other = which == 0 ? uc_upcase(c) : which == 1 ? uc_foldcase(c) : uc_downcase(c);
      if (other != c) add_range(other, other);
    }
}

static void add_complement_of_ascii(const bool members[128]) {
  for (uint32_t c = 0; c < 128; c++)
    if (!members[c]) add_range(c, c);
  add_range(128, 0x10ffff);
}

static bool words_room(Parser *p, uint32_t words) {
  uint64_t bytes = 4ull * (p->sets_used + words);
  if (p->sets != V_FALSE && bytes <= OBJ_LENGTH(p->sets)) return true;
  bytes *= 2;
  if (bytes > HEAP_HEADROOM / 4 && !heap_reserve(bytes)) {
    p->failure = need_memory(bytes);
    p->at = p->length;
    return false;
  }
  Value more = heap_raw(T_RAW, 0, (uint32_t)bytes);
  if (p->sets_used) memcpy(RAW_BYTES(more), RAW_BYTES(p->sets), 4 * p->sets_used);
  p->sets = more;
  return true;
}

/* The scratch set becomes words in p->sets; returns a node. */
static uint32_t set_finish(Parser *p) {
  set_tidy();
  if (scratch.too_many) return fail(p, "range is too complicated");
  uint32_t words = SET_RANGES + 2 * scratch.count, offset = p->sets_used;
  if (!words_room(p, words)) return 0;
  uint32_t *set = (uint32_t *)RAW_BYTES(p->sets) + offset;
  memset(set, 0, SET_RANGES * 4);
  set[SET_FLAGS] = scratch.negated ? SET_NEGATED : 0;
  set[SET_CATEGORIES] = scratch.categories;
  set[SET_COUNT] = scratch.count;
  memcpy(set + SET_RANGES, scratch.ranges, 8 * scratch.count);
  for (uint32_t c = 0; c < 256; c++)
    if (set_has_wide(set, c)) set[c >> 5] |= 1u << (c & 31);
  p->sets_used += words;
  return new_node(p, N_SET, offset, 0);
}

static uint32_t literal(Parser *p, uint32_t c) {
  if (!p->no_case || (uc_upcase(c) == c && uc_downcase(c) == c && uc_foldcase(c) == c)) return new_node(p, N_CHAR, c, 0);
  set_start(false);
  add_span(p, c, c);
  return set_finish(p);
}

/* ---- classes: \d \w \s, [:alpha:], \p{Ll}: all but the last are ASCII ---- */

static bool is_class_member(const char *name, uint32_t c) {
  bool digit = is_digit(c), letter = c < 128 && is_letter(c), lower = letter && c >= 'a', upper = letter && c < 'a';
  bool space = c == ' ' || (c >= 9 && c <= 13 && c != 11), printing = c > 32 && c < 127;
  switch (name[0] << 8 | name[1]) {
    case 'd' << 8: case 'd' << 8 | 'i': return digit;
    case 'w' << 8: case 'w' << 8 | 'o': return digit || letter || c == '_';
    case 's' << 8: case 's' << 8 | 'p': return space;
    case 'a' << 8 | 'l': return name[2] == 'p' ? letter : letter || digit;
    case 'u' << 8 | 'p': return upper;
    case 'l' << 8 | 'o': return lower;
    case 'x' << 8 | 'd': return digit || ((c | 32) >= 'a' && (c | 32) <= 'f');
    case 'b' << 8 | 'l': return c == ' ' || c == '\t';
    case 'g' << 8 | 'r': return printing;
    case 'p' << 8 | 'r': return printing || space;
    case 'c' << 8 | 'n': return c < 32;
    default: return c < 128;     /* ascii */
  }
}

static void add_class(const char *name, bool complement) {
  bool members[128];
  for (uint32_t c = 0; c < 128; c++) members[c] = is_class_member(name, c);
  if (complement) {
    add_complement_of_ascii(members);
    return;
  }
  for (uint32_t c = 0; c < 128; c++)
    if (members[c]) add_range(c, c);
}

/* [:alpha:] inside of a range; false where there is none at this place */
static bool accept_posix_class(Parser *p) {
  static const char *const names[] = {"alpha", "upper", "lower", "digit", "xdigit", "alnum", "word", "blank",
                                      "space", "graph", "print", "cntrl", "ascii"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char text[16] = "[:";
    strcat(strcat(text, names[i]), ":]");
    if (!accept(p, text)) continue;
    add_class(names[i], false);
    return true;
  }
  return false;
}

/* After \p or \P: {Ll}, {L}, {^Ll}, {L&}, {.} → the mask of categories */
static uint32_t parse_property(Parser *p, bool complement) {
  if (!accept(p, "{")) return fail(p, complement ? "expected `{` after `\\P`" : "expected `{` after `\\p`");
  if (accept(p, "^")) complement = !complement;
  char name[8] = "";
  uint32_t n = 0;
  for (; peek(p) != NONE && peek(p) != '}'; p->at++)
    if (n < sizeof name - 1) name[n++] = peek(p) < 128 ? (char)peek(p) : '?';
  if (!accept(p, "}")) return fail(p, complement ? "missing `}` to close `\\P{`" : "missing `}` to close `\\p{`");
  uint32_t mask = 0;
  for (int i = 0; i < CAT_COUNT; i++) {
    const char *category = uc_category_names[i];
    if (strcmp(name, category) == 0 || strcmp(name, ".") == 0 || (n == 1 && name[0] == category[0]) ||
        (strcmp(name, "L&") == 0 && i <= CAT_LM))
      mask |= 1u << i;
  }
  if (!mask) return fail(p, "unrecognized property name in `\\p{}`");
  return complement ? ~mask & ((1u << CAT_COUNT) - 1) : mask;
}

/* \d, \w, \s and their complements, \p{..}; the backslash has been read. Adds to the scratch set. */
static bool accept_class_escape(Parser *p) {
  uint32_t c = peek(p);
  if (c == NONE) return false;
  if (c == 'p' || c == 'P') {
    p->at++;
    scratch.categories |= parse_property(p, c == 'P');
    return true;
  }
  uint32_t lower = c | 32;
  if (lower != 'd' && lower != 'w' && lower != 's') return false;
  p->at++;
  add_class((char[]){(char)lower, 0, 0}, c != lower);
  return true;
}

/* ---- [...] ---- */

enum item { ITEM_CHAR, ITEM_CLASS };

/* One item of a range: a character, or a class that has been added. */
static enum item parse_item(Parser *p, uint32_t *c) {
  if (p->px && looking_at(p, "[:") && accept_posix_class(p)) return ITEM_CLASS;
  if (p->px && accept(p, "\\")) {
    if (peek(p) == NONE) {
      fail(p, "escaping backslash at end pattern (within square brackets)");
      return ITEM_CLASS;
    }
    if (accept_class_escape(p)) return ITEM_CLASS;
    if (is_letter(peek(p))) {
      fail(p, "illegal alphabetic escape");
      return ITEM_CLASS;
    }
  }
  *c = peek(p);
  p->at++;
  return ITEM_CHAR;
}

/* The bracket has been read. A ] or - that comes first is itself, and so is a - that comes last. */
static uint32_t parse_set(Parser *p) {
  set_start(accept(p, "^"));
  bool first = true;
  for (;; first = false) {
    if (peek(p) == NONE) return fail(p, "missing closing square bracket in pattern");
    if (peek(p) == ']' && !first) break;
    uint32_t c, last;
    if (peek(p) == '-' && !first && peek_at(p, 1) != ']') {
      if (peek_at(p, 1) == NONE) return fail(p, "missing closing square bracket in pattern");
      return fail(p, "misplaced hyphen within square brackets in pattern");
    }
    bool opening = first && peek(p) == ']';
    if (parse_item(p, &c) == ITEM_CLASS) continue;
    if (peek(p) != '-' || peek_at(p, 1) == ']' || peek_at(p, 1) == NONE) {
      add_span(p, c, c);
      continue;
    }
    if (opening) return fail(p, "misplaced hyphen within square brackets in pattern");
    p->at++;
    if (parse_item(p, &last) == ITEM_CLASS) return fail(p, "misplaced hyphen within square brackets in pattern");
    if (last < c) return fail(p, "invalid range within square brackets in pattern");
    add_span(p, c, last);
  }
  p->at++;
  return set_finish(p);
}

/* ---- (...) ---- */

static uint32_t close_group(Parser *p, uint32_t node, const char *message) {
  if (!failed(p) && !accept(p, ")")) return fail(p, message);
  return node;
}

static uint32_t parse_look(Parser *p, uint8_t flag) {
  uint32_t node = node_around(p, N_LOOK, 0, 0, parse_choice(p));
  if (node) p->nodes[node].flag = flag;
  return close_group(p, node, "expected a closing `)`");
}

/* After `(?`: the four kinds of looking around */
static bool accept_look(Parser *p, uint8_t *flag) {
  static const char *const marks[] = {"=", "<=", "!", "<!"};
  for (uint8_t i = 0; i < 4; i++)
    if (accept(p, marks[i])) {
      *flag = i;
      return true;
    }
  return false;
}

static uint32_t reference(Parser *p, uint32_t n) {
  if (n > p->highest_reference) p->highest_reference = n;
  p->tree->has_references = true;
  return new_node(p, N_BACKREF, n, 0);
}

/* After `(?`: (1)yes|no) or (?=..)yes|no) */
static uint32_t parse_if(Parser *p) {
  uint32_t test, last = 0;
  uint8_t flag;
  p->at++;
  if (is_digit(peek(p))) {
    test = close_group(p, reference(p, parse_number(p)), "expected `)` after `(?(` followed by digits");
  } else {
    if (!accept(p, "?") || !accept_look(p, &flag)) return fail(p, "expected `(?=`, `(?!`, `(?<`, or digit after `(?(`");
    test = parse_look(p, flag);
  }
  uint32_t node = new_node(p, N_IF, 0, 0), branches = parse_choice(p);
  if (failed(p)) return 0;
  uint32_t count = 0, yes = branches, no = 0;
  if (p->nodes[branches].kind == N_CHOICE) {
    for (uint32_t b = p->nodes[branches].child; b; b = p->nodes[b].next) count++;
    if (count > 2) return fail(p, "expected `)` to close `(?(...)...` after second branch");
    yes = p->nodes[branches].child;
    no = p->nodes[yes].next;
  }
  if (!no) no = new_node(p, N_EMPTY, 0, 0);
  chain(p, node, &last, test);
  chain(p, node, &last, yes);
  chain(p, node, &last, no);
  return close_group(p, node, "expected a closing `)`");
}

/* After `(?`: i, -i, s, -s, m, -m in any number, then `:` */
static uint32_t parse_modes(Parser *p) {
  bool any = false, multi = p->multi, no_case = p->no_case;
  for (;; any = true) {
    bool off = peek(p) == '-';
    uint32_t c = peek_at(p, off);
    if (c != 'i' && c != 's' && c != 'm') break;
    if (c == 'i') p->no_case = !off;
    else p->multi = (c == 'm') != off;
    p->at += 1 + off;
  }
  uint32_t node = 0;
  if (accept(p, ":")) node = close_group(p, parse_choice(p), "expected a closing `)`");
  else if (any) fail(p, "expected `:` or another mode after `(?` and a mode sequence;\n a mode is `i`, `-i`, `m`, `-m`, `s`, or `-s`");
  else fail(p, "expected `:`, `=`, `!`, `<=`, `<!`, `i`, `-i`, `m`, `-m`, `s`, or `-s` after `(?`");
  p->multi = multi;
  p->no_case = no_case;
  return node;
}

static uint32_t parse_parenthesis(Parser *p) {
  uint8_t flag;
  if (!accept(p, "?")) {
    uint32_t number = ++p->groups;
    if (number > MAX_GROUPS) return fail(p, "too many groups in pattern");
    return close_group(p, node_around(p, N_GROUP, number, 0, parse_choice(p)), "missing closing parenthesis in pattern");
  }
  if (accept(p, ">")) return close_group(p, node_around(p, N_ATOMIC, 0, 0, parse_choice(p)), "expected a closing `)`");
  if (accept_look(p, &flag)) return parse_look(p, flag);
  if (peek(p) == '(') return parse_if(p);
  return parse_modes(p);
}

/* ---- atoms ---- */

static uint32_t parse_escape(Parser *p) {
  uint32_t c = peek(p);
  if (c == NONE) return literal(p, '\\');           /* as Racket has it */
  if (p->px) {
    if (is_digit(c)) {
      uint32_t node = reference(p, parse_number(p));
      if (node && p->no_case) p->nodes[node].flag = NODE_NO_CASE;
      return node;
    }
    if (c == 'b' || c == 'B') {
      p->at++;
      return new_node(p, c == 'b' ? N_WORD : N_NOT_WORD, 0, 0);
    }
    set_start(false);
    if (accept_class_escape(p)) return set_finish(p);
    if (is_letter(c)) return fail(p, "illegal alphabetic escape");
  }
  p->at++;
  return literal(p, c);
}

static uint32_t parse_atom(Parser *p) {
  uint32_t c = peek(p);
  p->at++;
  switch (c) {
    case '(': return parse_parenthesis(p);
    case '[': return parse_set(p);
    case '.': return new_node(p, p->multi ? N_NOT_NEWLINE : N_ANY, 0, 0);
    case '^': return new_node(p, p->multi ? N_LINE_START : N_START, 0, 0);
    case '$': return new_node(p, p->multi ? N_LINE_END : N_END, 0, 0);
    case '\\': return parse_escape(p);
    case '*': return fail(p, "`*` follows nothing in pattern");
    case '+': return fail(p, "`+` follows nothing in pattern");
    case '?': return fail(p, "`?` follows nothing in pattern");
    case '{': if (p->px) return fail(p, "`{` follows nothing in pattern"); break;
    case '}': if (p->px) return fail(p, "unmatched `}` in pattern"); break;
    case ']': if (p->px) return fail(p, "unmatched `]` in pattern"); break;
    default: break;
  }
  return literal(p, c);
}

/* {n}, {n,}, {,m}, {n,m}; the brace has been read */
static void parse_bounds(Parser *p, uint32_t *min, uint32_t *max) {
  static const char *const message = "expected digit, `,`, or `}' for repetition specification started with `{`";
  *min = parse_number(p);
  *max = *min;
  if (accept(p, ",")) *max = is_digit(peek(p)) ? parse_number(p) : UNBOUNDED;
  if (!accept(p, "}")) fail(p, message);
  if (*max < *min) *max = *min;
}

static const char *nested_message(const Parser *p) {
  switch (peek(p)) {
    case '*': return "nested `*` in pattern";
    case '+': return "nested `+` in pattern";
    case '?': return "nested `?` in pattern";
    case '{': return p->px ? "nested `{` in pattern" : NULL;
    default: return NULL;
  }
}

static uint32_t parse_piece(Parser *p) {
  uint32_t atom = parse_atom(p), min = 0, max = UNBOUNDED, c = peek(p);
  if (failed(p)) return 0;
  if (c != '*' && c != '+' && c != '?' && !(c == '{' && p->px)) return atom;
  p->at++;
  if (c == '+') min = 1;
  if (c == '?') max = 1;
  if (c == '{') parse_bounds(p, &min, &max);
  uint32_t node = node_around(p, N_REPEAT, min, max, atom);
  if (accept(p, "?") && node) p->nodes[node].flag = NODE_LAZY;
  if (!failed(p) && nested_message(p)) return fail(p, nested_message(p));
  return node;
}

static uint32_t parse_sequence(Parser *p) {
  uint32_t first = 0, sequence = 0, last = 0;
  while (peek(p) != NONE && peek(p) != '|' && peek(p) != ')') {
    uint32_t piece = parse_piece(p);
    if (failed(p)) return 0;
    if (!first) {
      first = piece;
      continue;
    }
    if (!sequence) {
      sequence = new_node(p, N_SEQUENCE, 0, 0);
      chain(p, sequence, &last, first);
    }
    chain(p, sequence, &last, piece);
  }
  return sequence ? sequence : first ? first : new_node(p, N_EMPTY, 0, 0);
}

static uint32_t parse_choice(Parser *p) {
  if (++p->nesting > MAX_NESTING) return fail(p, "groups are nested too deeply in pattern");
  uint32_t first = parse_sequence(p), choice = 0, last = 0;
  while (accept(p, "|")) {
    if (!choice) {
      choice = new_node(p, N_CHOICE, 0, 0);
      chain(p, choice, &last, first);
    }
    chain(p, choice, &last, parse_sequence(p));
  }
  p->nesting--;
  return choice ? choice : first;
}

/* ---- checks: lengths of what a node matches ---- */

typedef struct { uint64_t min, max; } Span;       /* max: UINT64_MAX where unbounded */
enum { SATURATED = 1 << 30 };

static uint64_t saturate(uint64_t n, bool unbounded) { return unbounded ? UINT64_MAX : n > SATURATED ? SATURATED : n; }

static Span measure(Parser *p, uint32_t index, Span *groups);

static Span measure_children(Parser *p, const Node *node, Span *groups, bool choice) {
  Span all = {0, 0};
  for (uint32_t child = node->child; child; child = p->nodes[child].next) {
    Span one = measure(p, child, groups);
    if (choice) {
      all.min = child == node->child || one.min < all.min ? one.min : all.min;
      all.max = one.max > all.max ? one.max : all.max;
    } else {
      bool unbounded = all.max == UINT64_MAX || one.max == UINT64_MAX;
      all = (Span){saturate(all.min + one.min, false), saturate(all.max + one.max, unbounded)};
    }
  }
  return all;
}

static Span measure_repeat(Parser *p, const Node *node, Span *groups) {
  Span one = measure(p, node->child, groups);
  bool maybe = node->a == 0 && node->b == 1;
  if (one.min == 0 && !maybe) fail(p, "`*`, `+`, or `{...}` operand could be empty");
  return (Span){saturate(one.min * node->a, false),
                saturate(one.max * node->b, node->b == UNBOUNDED || one.max == UINT64_MAX)};
}

static Span measure_look(Parser *p, Node *node, Span *groups) {
  Span body = measure(p, node->child, groups);
  if (node->flag & NODE_BEHIND) {
    if (body.max == UINT64_MAX) fail(p, "lookbehind pattern does not match a bounded length");
    node->a = (uint32_t)body.min;
    node->b = (uint32_t)body.max;
    p->tree->lookbehind += node->b;
  }
  return (Span){0, 0};
}

static Span measure(Parser *p, uint32_t index, Span *groups) {
  Node *node = &p->nodes[index];
  switch (node->kind) {
    case N_CHAR: case N_ANY: case N_NOT_NEWLINE: case N_SET: return (Span){1, 1};
    case N_SEQUENCE: case N_ATOMIC: return measure_children(p, node, groups, false);
    case N_CHOICE: return measure_children(p, node, groups, true);
    case N_REPEAT: return measure_repeat(p, node, groups);
    case N_GROUP: return groups[node->a] = measure_children(p, node, groups, false);
    case N_BACKREF: return (Span){groups[node->a].min, UINT64_MAX};
    case N_LOOK: return measure_look(p, node, groups);
    case N_IF: {
      Node branches = {.child = p->nodes[node->child].next};
      if (p->nodes[node->child].kind == N_LOOK) measure(p, node->child, groups);
      return measure_children(p, &branches, groups, true);
    }
    default: return (Span){0, 0};
  }
}

/* ---- all of it ---- */

Value regexp_parse(Value source, bool px, Tree *tree) {
  uint32_t length = STR_LENGTH(source);
  Parser p = {.source = source, .length = length, .px = px, .failure = V_TRUE, .sets = V_FALSE, .tree = tree, .used = 1};
  *tree = (Tree){0};
  if (length > MAX_PATTERN) {
    fail(&p, "pattern is too large");
    return p.failure;
  }
  p.capacity = 4 * length + 16;
  RESERVE((uint64_t)p.capacity * sizeof(Node) + 64);
  charge(length);
  p.nodes = (Node *)RAW_BYTES(heap_raw(T_RAW, 0, p.capacity * (uint32_t)sizeof(Node)));
  tree->root = parse_choice(&p);
  if (!failed(&p) && peek(&p) == ')') fail(&p, "unmatched `)` in pattern");
  if (!failed(&p) && p.highest_reference > p.groups)
    fail(&p, "backreference number is larger than the highest-numbered cluster");
  if (failed(&p)) return p.failure;
  static Span groups[MAX_GROUPS + 1];
  for (uint32_t i = 0; i <= p.groups; i++) groups[i] = (Span){1, UINT64_MAX};
  for (int pass = 0; pass < 2; pass++) {           /* twice: references may come before their groups */
    tree->lookbehind = 0;
    measure(&p, tree->root, groups);
  }
  tree->nodes = p.nodes;
  tree->groups = p.groups;
  tree->lookbehind += 1;
  tree->sets = p.sets;
  return p.failure;
}
