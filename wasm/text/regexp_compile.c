/* regexp_compile.c — from the tree of a pattern to code, and what helps to find where a match may start. */
#include "text/regexp_compile.h"

enum { MAX_CODE = 1 << 20 };   /* words */

typedef struct { const Node *nodes; uint32_t *code; uint32_t at, marks, groups; bool has_references; } Emitter;

static bool is_single(const Node *node) { return node->kind >= N_CHAR && node->kind <= N_SET; }

/* ---- how long the code will be; saturates above MAX_CODE ---- */

static uint64_t size_of(const Node *nodes, uint32_t index);

static uint64_t capped(uint64_t words) { return words > MAX_CODE ? MAX_CODE + 1 : words; }

static uint64_t size_of_children(const Node *nodes, const Node *node, uint64_t between) {
  uint64_t words = 0;
  for (uint32_t child = node->child; child; child = nodes[child].next)
    words += size_of(nodes, child) + (nodes[child].next ? between : 0);
  return capped(words);
}

static uint64_t size_of_repeat(const Node *nodes, const Node *node) {
  uint64_t body = size_of(nodes, node->child);
  if (is_single(&nodes[node->child])) return RUN_SIZE;
  uint64_t copies = node->a * body;
  if (node->b == UNBOUNDED) return capped(copies + SPLIT_SIZE + body + 2);
  return capped(copies + (node->b - node->a) * (SPLIT_SIZE + body));
}

static uint64_t size_of(const Node *nodes, uint32_t index) {
  const Node *node = &nodes[index];
  switch (node->kind) {
    case N_EMPTY: return 0;
    case N_CHAR: case N_SET: case N_BACKREF: return 2;
    case N_SEQUENCE: return size_of_children(nodes, node, 0);
    case N_CHOICE: return size_of_children(nodes, node, SPLIT_SIZE + 2);
    case N_REPEAT: return size_of_repeat(nodes, node);
    case N_GROUP: return capped(4 + size_of(nodes, node->child));
    case N_LOOK: return capped(LOOK_SIZE + 1 + size_of(nodes, node->child));
    case N_ATOMIC: return capped(2 + size_of(nodes, node->child));
    case N_IF: return capped(size_of_children(nodes, node, 0) + 3 + 2);
    default: return 1;
  }
}

/* ---- emitting ---- */

static void put(Emitter *e, uint32_t word) { e->code[e->at++] = word; }
static void emit(Emitter *e, uint32_t index);

static void emit_single(Emitter *e, const Node *node) {
  static const uint8_t ops[] = {[N_CHAR] = RE_CHAR, [N_ANY] = RE_ANY, [N_NOT_NEWLINE] = RE_NOT_NEWLINE, [N_SET] = RE_SET};
  put(e, ops[node->kind]);
  if (node->kind == N_CHAR || node->kind == N_SET) put(e, node->a);
}

/* Returns where the second target is to be written: the first one is what follows, unless lazy. */
static uint32_t emit_split(Emitter *e, bool lazy) {
  put(e, RE_SPLIT);
  put(e, e->marks++);
  uint32_t targets = e->at;
  e->at += 2;
  e->code[targets + lazy] = e->at;
  return targets + !lazy;
}

static void emit_run(Emitter *e, const Node *node) {
  static const uint8_t ops[] = {[N_CHAR] = RE_CHAR, [N_ANY] = RE_ANY, [N_NOT_NEWLINE] = RE_NOT_NEWLINE, [N_SET] = RE_SET};
  const Node *atom = &e->nodes[node->child];
  put(e, RE_RUN);
  put(e, e->marks);
  e->marks += 2;
  put(e, ops[atom->kind]);
  put(e, atom->a);
  put(e, node->a);
  put(e, node->b);
  put(e, node->flag & NODE_LAZY);
}

static void emit_repeat(Emitter *e, const Node *node) {
  if (is_single(&e->nodes[node->child])) {
    emit_run(e, node);
    return;
  }
  bool lazy = node->flag & NODE_LAZY;
  for (uint32_t i = 0; i < node->a; i++) emit(e, node->child);
  if (node->b == UNBOUNDED) {
    uint32_t loop = e->at, out = emit_split(e, lazy);
    emit(e, node->child);
    put(e, RE_JUMP);
    put(e, loop);
    e->code[out] = e->at;
    return;
  }
  uint32_t outs = NOWHERE;       /* the places to be filled with the end are chained through themselves */
  for (uint32_t i = node->a; i < node->b; i++) {
    uint32_t out = emit_split(e, lazy);
    e->code[out] = outs;
    outs = out;
    emit(e, node->child);
  }
  while (outs != NOWHERE) {
    uint32_t next = e->code[outs];
    e->code[outs] = e->at;
    outs = next;
  }
}

static void emit_choice(Emitter *e, const Node *node) {
  uint32_t ends = NOWHERE;
  for (uint32_t child = node->child; child; child = e->nodes[child].next) {
    if (!e->nodes[child].next) {
      emit(e, child);
      break;
    }
    uint32_t other = emit_split(e, false);
    emit(e, child);
    put(e, RE_JUMP);
    put(e, ends);
    ends = e->at - 1;
    e->code[other] = e->at;
  }
  while (ends != NOWHERE) {
    uint32_t next = e->code[ends];
    e->code[ends] = e->at;
    ends = next;
  }
}

/* Returns the place of the target for "false". */
static uint32_t emit_look(Emitter *e, const Node *node) {
  put(e, RE_LOOK);
  put(e, node->flag);
  put(e, node->a);
  put(e, node->b);
  uint32_t targets = e->at;
  put(e, 0);
  put(e, NOWHERE);
  emit(e, node->child);
  put(e, RE_LOOK_END);
  e->code[targets] = e->at;
  return targets + 1;
}

static void emit_if(Emitter *e, const Node *node) {
  const Node *test = &e->nodes[node->child];
  uint32_t yes = test->next, no = e->nodes[yes].next, otherwise;
  if (test->kind == N_LOOK) {
    otherwise = emit_look(e, test);
  } else {
    put(e, RE_IF_GROUP);
    put(e, test->a);
    put(e, 0);
    otherwise = e->at - 1;
  }
  emit(e, yes);
  put(e, RE_JUMP);
  uint32_t end = e->at++;
  e->code[otherwise] = e->at;
  emit(e, no);
  e->code[end] = e->at;
}

/* Inside of a group a reference to it means what it matched before: then its start has to wait, in a
   slot behind those of the groups, until its end is known. */
static void emit_group(Emitter *e, const Node *node) {
  put(e, RE_SAVE);
  put(e, e->has_references ? 2 * (e->groups + 1) + node->a : 2 * node->a);
  emit(e, node->child);
  put(e, e->has_references ? RE_CLOSE : RE_SAVE);
  put(e, e->has_references ? node->a : 2 * node->a + 1);
}

static void emit(Emitter *e, uint32_t index) {
  static const uint8_t tests[] = {[N_START] = RE_START, [N_END] = RE_END, [N_LINE_START] = RE_LINE_START,
                                  [N_LINE_END] = RE_LINE_END, [N_WORD] = RE_WORD, [N_NOT_WORD] = RE_NOT_WORD};
  const Node *node = &e->nodes[index];
  switch (node->kind) {
    case N_EMPTY: break;
    case N_CHAR: case N_ANY: case N_NOT_NEWLINE: case N_SET: emit_single(e, node); break;
    case N_SEQUENCE:
      for (uint32_t child = node->child; child; child = e->nodes[child].next) emit(e, child);
      break;
    case N_CHOICE: emit_choice(e, node); break;
    case N_REPEAT: emit_repeat(e, node); break;
    case N_GROUP: emit_group(e, node); break;
    case N_BACKREF:
      put(e, node->flag & NODE_NO_CASE ? RE_BACKREF_NO_CASE : RE_BACKREF);
      put(e, node->a);
      break;
    case N_LOOK: emit_look(e, node); break;
    case N_ATOMIC:
      put(e, RE_ATOMIC);
      emit(e, node->child);
      put(e, RE_ATOMIC_END);
      break;
    case N_IF: emit_if(e, node); break;
    default: put(e, tests[node->kind]);
  }
}

/* ---- where a match may start ---- */

/* Descends to what comes first: NULL where that is a matter of choice. */
static const Node *first_of(const Node *nodes, const Node *node) {
  while (node->kind == N_GROUP || node->kind == N_SEQUENCE || node->kind == N_ATOMIC) node = &nodes[node->child];
  return node;
}

/* The characters of the pattern's beginning that stand for themselves, as a string, or #f. */
static Value literal_prefix(const Node *nodes, uint32_t root) {
  const Node *node = &nodes[root];
  while (node->kind == N_GROUP || node->kind == N_ATOMIC) node = &nodes[node->child];
  Builder b;
  builder_init(&b);
  if (node->kind == N_CHAR) {
    builder_char(&b, node->a);
  } else if (node->kind == N_SEQUENCE) {
    for (uint32_t child = node->child; child && b.length < 256 && nodes[child].kind == N_CHAR; child = nodes[child].next)
      builder_char(&b, nodes[child].a);
    const Node *head = first_of(nodes, node);
    if (!b.length && head->kind == N_CHAR) builder_char(&b, head->a);
  }
  return b.length ? builder_finish(&b) : V_FALSE;
}

enum { FIRST_WORDS = 9, FIRST_WIDE = 8 };   /* a bitmap of the characters below 256; whether any other may come */

/* Adds what the node may start with; false where it may match nothing, so that what follows counts too. */
static bool add_first(const Node *nodes, const uint32_t *sets, uint32_t index, uint32_t *first) {
  const Node *node = &nodes[index];
  switch (node->kind) {
    case N_CHAR:
      if (node->a < 256) first[node->a >> 5] |= 1u << (node->a & 31);
      else first[FIRST_WIDE] = 1;
      return true;
    case N_SET:
      for (int i = 0; i < 8; i++) first[i] |= sets[node->a + i];
      first[FIRST_WIDE] |= sets[node->a + SET_FLAGS] || sets[node->a + SET_CATEGORIES] ||
                           (sets[node->a + SET_COUNT] && sets[node->a + SET_RANGES + 2 * sets[node->a + SET_COUNT] - 1] > 255);
      return true;
    case N_ANY: case N_NOT_NEWLINE:
      for (int i = 0; i < FIRST_WORDS; i++) first[i] = 0xffffffff;
      return true;
    case N_SEQUENCE: case N_GROUP: case N_ATOMIC:
      for (uint32_t child = node->child; child; child = nodes[child].next)
        if (add_first(nodes, sets, child, first)) return true;
      return false;
    case N_CHOICE: {
      bool all = true;
      for (uint32_t child = node->child; child; child = nodes[child].next) all = add_first(nodes, sets, child, first) && all;
      return all;
    }
    case N_REPEAT: return add_first(nodes, sets, node->child, first) && node->a > 0;
    case N_IF: {
      bool yes = add_first(nodes, sets, nodes[node->child].next, first);
      return add_first(nodes, sets, nodes[nodes[node->child].next].next, first) && yes;
    }
    case N_BACKREF:        /* whatever the group matched */
      for (int i = 0; i < FIRST_WORDS; i++) first[i] = 0xffffffff;
      return false;
    default: return false;
  }
}

static Value first_set(const Tree *tree) {
  uint32_t first[FIRST_WORDS] = {0};
  const uint32_t *sets = tree->sets == V_FALSE ? NULL : (uint32_t *)RAW_BYTES(tree->sets);
  if (!add_first(tree->nodes, sets, tree->root, first)) return V_FALSE;
  uint32_t all = 0xffffffff;
  for (int i = 0; i < 8; i++) all &= first[i];
  if (all == 0xffffffff && first[FIRST_WIDE]) return V_FALSE;
  Value raw = heap_raw(T_RAW, 0, sizeof first);
  memcpy(RAW_BYTES(raw), first, sizeof first);
  return raw;
}

/* A character below 256 that every match has behind nothing but characters of a set without it, such as the @ of
   [a-z0-9]+@: FIX(it) and the set, in *before; #f where there is none. */
static void add_atom(uint32_t op, uint32_t operand, const uint32_t *sets, uint32_t *set) {
  if (op == RE_SET) {
    for (int i = 0; i < 8; i++) set[i] |= sets[operand + i];
    set[FIRST_WIDE] |= sets[operand + SET_FLAGS] || sets[operand + SET_CATEGORIES] || sets[operand + SET_COUNT];
  } else if (op != RE_CHAR) {
    memset(set, 0xff, FIRST_WORDS * 4);
  } else if (operand < 256) {
    set[operand >> 5] |= 1u << (operand & 31);
  } else {
    set[FIRST_WIDE] = 1;
  }
}
static Value inner_of(const uint32_t *op, const uint32_t *sets, Value *before) {
  uint32_t set[FIRST_WORDS] = {0};
  for (bool any = false;;) {
    switch (op[0]) {
      case RE_SAVE: case RE_CLOSE: op += 2; continue;
      case RE_LINE_START: case RE_LINE_END: case RE_WORD: case RE_NOT_WORD: case RE_ATOMIC: case RE_ATOMIC_END: op++; continue;
      case RE_CHAR:
        if (!any) return V_FALSE;
        if (op[1] < 256 && !(set[op[1] >> 5] >> (op[1] & 31) & 1)) {
          *before = heap_raw(T_RAW, 0, sizeof set);
          memcpy(RAW_BYTES(*before), set, sizeof set);
          return FIX(op[1]);
        }
        add_atom(RE_CHAR, op[1], sets, set);
        op += 2;
        continue;
      case RE_SET:
        add_atom(RE_SET, op[1], sets, set);
        op += 2;
        break;
      case RE_RUN:
        add_atom(op[2], op[3], sets, set);
        op += RUN_SIZE;
        break;
      default: return V_FALSE;
    }
    any = true;
  }
}

/* ---- all of it ---- */

Value regexp_compile(Value source, bool px, const Tree *tree) {
  uint64_t words = size_of(tree->nodes, tree->root) + 1;
  if (words > MAX_CODE)
    return err_failf("exn:fail:contract", "%s: pattern is too large when its repetitions are written out\n  pattern: %v",
                     px ? "pregexp" : "regexp", source);
  RESERVE(words * 4 + 4096);
  charge((int64_t)words);
  Value code = heap_raw(T_RAW, 0, (uint32_t)words * 4);
  Emitter e = {.nodes = tree->nodes, .code = (uint32_t *)RAW_BYTES(code), .groups = tree->groups,
               .has_references = tree->has_references};
  emit(&e, tree->root);
  put(&e, RE_MATCH);
  Value before = V_FALSE;
  Value inner = inner_of((uint32_t *)RAW_BYTES(code), tree->sets == V_FALSE ? NULL : (uint32_t *)RAW_BYTES(tree->sets), &before);
  Value rx = heap_object(T_REGEXP, 0, REGEXP_SLOTS);
  bool anchored = first_of(tree->nodes, &tree->nodes[tree->root])->kind == N_START;
  *REGEXP(rx) = (struct Regexp){
    .header = HEADER_OF(rx), .source = source, .px = BOOL(px), .groups = FIX(tree->groups), .code = code,
    .sets = tree->sets, .marks = FIX(e.marks), .lookbehind = FIX(tree->lookbehind),
    .flags = FIX((anchored ? RX_ANCHORED : 0) | (tree->has_references ? RX_NO_MEMORY : 0)),
    .prefix = literal_prefix(tree->nodes, tree->root), .first = first_set(tree),
    .inner = inner, .before = before,
  };
  return rx;
}
