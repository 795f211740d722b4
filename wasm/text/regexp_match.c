/* regexp_match.c — the matcher.
 *
 * Backtracking with an explicit stack: the order in which alternatives are tried is the order that
 * Racket and Perl define, and all of their operators fit. What makes it linear is the memory: once
 * a search has taken long enough to pay for it, a bit for every choice point and every position
 * records that this was tried; a second visit fails at once, because what follows does not depend
 * on how one got there. The memory serves all starting positions of a search.
 *   Inside of a lookahead what was tried may have succeeded, and would again; so there the bit is
 * set only when all that follows has failed. Where what follows does depend on how one got there,
 * in lookbehind (which is bounded) and in patterns with back-references, nothing is recorded.
 *
 * A frame of the stack is four words: kind and instruction, and three of the kind's own.
 */
#include "text/regexp_match.h"
#include "text/regexp_compile.h"
#include "text/string_search.h"
#include "text/unicode.h"

enum frame_kind {
  F_CHOICE,    /* position: go on at the instruction from there */
  F_UNDO,      /* slot, old value */
  F_RUN,       /* position, least position: a greedy run may give back what is between */
  F_LAZY,      /* position, how many more at the most: a lazy run may take more */
  F_LOOK,      /* position, barrier before, length tried (lookbehind): below are the body's frames */
  F_ATOMIC,    /* -, barrier before */
  F_TRIED,     /* position, mark: when this is reached, all that could follow has failed */
};
enum { FRAME = 4, FIRST_FRAMES = 512, SPARE_FRAMES = 8, SLOTS = 3 * (MAX_GROUPS + 1) };
enum { WORK_SLICE = 2048, MEMORY_AFTER = 4096, MEMORY_MOST = 1 << 28 /* bits */ };

static struct {
  Value regexp, text;
  uint32_t low, end, least_end;
  uint32_t start;              /* where the attempt under way began, or the next one will */
  uint32_t pc, pos;
  bool running;                /* an attempt is under way */
  uint32_t depth, capacity;    /* of the stack, in frames */
  uint32_t barrier;            /* 1 + index of the innermost F_LOOK or F_ATOMIC; 0: none */
  uint32_t looks, behinds;     /* how many F_LOOKs there are, and how many of them are lookbehinds */
  uint64_t work, charged;      /* since match_begin; and how much of it was charged */
  Value memory;                /* T_RAW of bits, or #f */
  uint32_t memory_start, memory_span;   /* the positions it is about */
  Value clearing, larger;      /* a memory that is being cleared, a stack that the frames are being moved to */
  uint32_t cleared, moved;     /* bytes of them that are ready */
  uint32_t run_at;             /* a pause in the midst of a run: how far it has come; else NOWHERE */
  uint32_t inner_at, inner_from;        /* where the pattern's inner character was found last, or NOWHERE; and where it is looked for next */
  bool failing;                /* a pause on the way back to the last frame that has another alternative */
} m;

static uint32_t first_stack[FRAME * FIRST_FRAMES];
static uint32_t *stack = first_stack;
static uint32_t slots[SLOTS];

void match_begin(Value regexp, Value text, uint32_t low, uint32_t from, uint32_t end, uint32_t least_end) {
  memset(&m, 0, sizeof m);
  m.regexp = regexp;
  m.text = text;
  m.low = low;
  m.end = end;
  m.least_end = least_end;
  m.start = from;
  m.memory = m.clearing = m.larger = V_FALSE;
  m.run_at = m.inner_at = NOWHERE;
  m.capacity = FIRST_FRAMES;
  stack = first_stack;
}

static uint32_t group_count(void) { return (uint32_t)FIX_VALUE(REGEXP(m.regexp)->groups) + 1; }
static uint32_t slot_count(void) { return 3 * group_count(); }

uint32_t match_slot(uint32_t slot) { return slots[slot]; }

/* ---- across pauses ---- */

static Value words_saved(const uint32_t *words, uint32_t count) {
  Value raw = heap_raw(T_RAW, 0, count * 4);
  memcpy(RAW_BYTES(raw), words, count * 4);
  return raw;
}

/* A stack on the heap is kept as it is; the static one, which the next matcher will use, is copied. */
Value match_save(void) {
  Value saved = make_vector(8, V_FALSE);
  bool on_heap = stack != first_stack;
  VEC(saved)[0] = m.regexp;
  VEC(saved)[1] = m.text;
  VEC(saved)[2] = m.memory;
  VEC(saved)[3] = on_heap ? FROM_PTR(T_RAW, (uint8_t *)stack - 8) : words_saved(stack, m.depth * FRAME);
  VEC(saved)[4] = words_saved(slots, slot_count());
  VEC(saved)[5] = heap_raw(T_RAW, 0, sizeof m);
  memcpy(RAW_BYTES(VEC(saved)[5]), &m, sizeof m);
  VEC(saved)[6] = m.clearing;
  VEC(saved)[7] = m.larger;
  return saved;
}

void match_load(Value saved) {
  memcpy(&m, RAW_BYTES(VEC(saved)[5]), sizeof m);
  m.regexp = VEC(saved)[0];
  m.text = VEC(saved)[1];
  m.memory = VEC(saved)[2];
  m.clearing = VEC(saved)[6];
  m.larger = VEC(saved)[7];
  memcpy(slots, RAW_BYTES(VEC(saved)[4]), slot_count() * 4);
  if (m.capacity > FIRST_FRAMES) {
    stack = (uint32_t *)RAW_BYTES(VEC(saved)[3]);
  } else {
    stack = first_stack;
    memcpy(stack, RAW_BYTES(VEC(saved)[3]), m.depth * FRAME * 4);
  }
}

/* ---- the stack ---- */

/* False: memory is short, or the frames are so many that moving them pauses. */
static bool stack_grow(void) {
  if (m.larger == V_FALSE) {
    uint64_t bytes = (uint64_t)m.capacity * 2 * FRAME * 4;
    if (bytes > UINT32_MAX / 2 || !heap_reserve(bytes)) {
      need_memory(bytes);
      return false;
    }
    m.larger = heap_raw(T_RAW, 0, (uint32_t)bytes);
    m.moved = 0;
  }
  uint32_t used = m.depth * FRAME * 4;
  while (m.moved < used) {
    uint32_t part = used - m.moved < LONG_PART ? used - m.moved : LONG_PART;
    memcpy(RAW_BYTES(m.larger) + m.moved, (uint8_t *)stack + m.moved, part);
    m.moved += part;
    charge(part / 64);
    if (m.moved < used && should_pause()) return false;
  }
  stack = (uint32_t *)RAW_BYTES(m.larger);
  m.larger = V_FALSE;
  m.capacity *= 2;
  return true;
}

static inline void push(enum frame_kind kind, uint32_t pc, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t *frame = stack + FRAME * m.depth++;
  frame[0] = pc << 3 | kind;
  frame[1] = a;
  frame[2] = b;
  frame[3] = c;
}

/* Forgets the alternatives above the innermost barrier and the barrier itself, but keeps what has
   to be undone when something before it is tried again. Returns the barrier's frame. */
static uint32_t cut(uint32_t barrier_frame[FRAME]) {
  uint32_t to = m.barrier - 1;
  memcpy(barrier_frame, stack + FRAME * to, FRAME * 4);
  for (uint32_t from = m.barrier; from < m.depth; from++)
    if ((stack[FRAME * from] & 7) == F_UNDO) memcpy(stack + FRAME * to++, stack + FRAME * from, FRAME * 4);
  m.work += m.depth - m.barrier;
  m.depth = to;
  m.barrier = barrier_frame[2];
  return barrier_frame[0] >> 3;
}

/* Forgets everything from the innermost barrier on and undoes it. */
static uint32_t undo_to_barrier(uint32_t barrier_frame[FRAME]) {
  while (m.depth > m.barrier) {
    uint32_t *frame = stack + FRAME * --m.depth;
    if ((frame[0] & 7) == F_UNDO) slots[frame[1]] = frame[2];
  }
  memcpy(barrier_frame, stack + FRAME * --m.depth, FRAME * 4);
  m.barrier = barrier_frame[2];
  return barrier_frame[0] >> 3;
}

/* ---- the memory of what has been tried ---- */

/* Goes on clearing it; false where that pauses. */
static bool memory_clear(void) {
  uint32_t bytes = OBJ_LENGTH(m.clearing);
  while (m.cleared < bytes) {
    uint32_t part = bytes - m.cleared < LONG_PART ? bytes - m.cleared : LONG_PART;
    memset(RAW_BYTES(m.clearing) + m.cleared, 0, part);
    m.cleared += part;
    charge(part / 64);
    if (m.cleared < bytes && should_pause()) return false;
  }
  m.memory = m.clearing;
  m.clearing = V_FALSE;
  return true;
}

/* Made when the work done so far is worth what clearing it costs. False where that pauses. */
static bool memory_make(void) {
  if (m.clearing != V_FALSE) return memory_clear();
  uint64_t marks = (uint64_t)FIX_VALUE(REGEXP(m.regexp)->marks), span = (uint64_t)m.end - m.start + 1;
  if (!marks || (FIX_VALUE(REGEXP(m.regexp)->flags) & RX_NO_MEMORY)) return true;
  if (marks * span > MEMORY_MOST) span = MEMORY_MOST / marks;
  uint64_t bytes = (marks * span + 63) / 64 * 8;
  if (m.work < bytes / 8 || !span) return true;
  while (bytes > HEAP_HEADROOM / 8 && !heap_reserve(bytes + 64)) {
    span /= 2;
    bytes = (marks * span + 63) / 64 * 8;
  }
  m.clearing = heap_raw(T_RAW, 0, (uint32_t)bytes);
  m.cleared = 0;
  m.memory_start = m.start;
  m.memory_span = (uint32_t)span;
  return memory_clear();
}

static inline bool remembers(uint32_t pos) {
  return m.memory != V_FALSE && !m.behinds && pos - m.memory_start < m.memory_span;
}

static inline uint8_t *memory_bit(uint32_t mark, uint32_t pos, uint8_t *mask) {
  uint64_t bit = (uint64_t)mark * m.memory_span + (pos - m.memory_start);
  *mask = (uint8_t)(1u << (bit & 7));
  return RAW_BYTES(m.memory) + (bit >> 3);
}

static void record(uint32_t mark, uint32_t pos) {
  uint8_t mask;
  if (remembers(pos)) *memory_bit(mark, pos, &mask) |= mask;
}

/* May the choice point be tried at this position? Records that it is, or inside of a lookahead
   sees to it that its failure will be. */
static bool may_try_remembering(uint32_t mark, uint32_t pos) {
  uint8_t mask, *byte = memory_bit(mark, pos, &mask);
  if (*byte & mask) return false;
  if (m.looks) push(F_TRIED, 0, pos, mark, 0);
  else *byte |= mask;
  return true;
}
static inline bool may_try(uint32_t mark, uint32_t pos) { return !remembers(pos) || may_try_remembering(mark, pos); }

/* The same for a run that has come to this position; its frame records failures by itself. */
static inline bool may_reach(uint32_t mark, uint32_t pos) {
  if (!remembers(pos)) return true;
  uint8_t mask, *byte = memory_bit(mark, pos, &mask);
  if (*byte & mask) return false;
  if (!m.looks) *byte |= mask;
  return true;
}

/* ---- looking at characters ---- */

#define GET(i) chars_get(data, width, i)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

static bool is_word_char(uint32_t c) { return c < 128 && ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_'); }

ALWAYS_INLINE bool at_word_edge(const uint8_t *data, uint32_t width, uint32_t pos) {
  bool before = pos > m.low && is_word_char(GET(pos - 1));
  bool after = pos < m.end && is_word_char(GET(pos));
  return before != after;
}

ALWAYS_INLINE bool atom_matches(uint32_t op, uint32_t operand, const uint32_t *sets, uint32_t c) {
  switch (op) {
    case RE_CHAR: return c == operand;
    case RE_ANY: return true;
    case RE_NOT_NEWLINE: return c != '\n';
    default: return set_has(sets + operand, c);
  }
}

/* How far a run of an atom reaches from pos on, at most to `limit`. */
ALWAYS_INLINE uint32_t run_end(uint32_t op, uint32_t operand, const uint32_t *sets, const uint8_t *data, uint32_t width,
                               uint32_t pos, uint32_t limit) {
  switch (op) {
    case RE_CHAR: while (pos < limit && GET(pos) == operand) pos++; return pos;
    case RE_ANY: return limit;
    case RE_NOT_NEWLINE: return chars_find(data, width, pos, limit, '\n');
    default: while (pos < limit && set_has(sets + operand, GET(pos))) pos++; return pos;
  }
}

/* The length of what the group matched where the same stands at pos; NOWHERE where not. */
ALWAYS_INLINE uint32_t reference_length(const uint8_t *data, uint32_t width, uint32_t group, uint32_t pos, bool no_case) {
  uint32_t from = slots[2 * group], to = slots[2 * group + 1];
  if (from == NOWHERE || to == NOWHERE || to < from || to - from > m.end - pos) return NOWHERE;
  for (uint32_t i = 0; i < to - from; i++) {
    uint32_t a = GET(from + i), b = GET(pos + i);
    if (a != b && (!no_case || uc_foldcase(a) != uc_foldcase(b))) return NOWHERE;
  }
  m.work += to - from;
  return to - from;
}

/* ---- where a match may start ---- */

enum { START_STRIDE = 1 << 16 };   /* characters looked at between two chances to pause */

static inline bool in_bitmap(const uint32_t *set, uint32_t c) { return c < 256 ? set[c >> 5] >> (c & 31) & 1 : set[8] & 1; }

/* The inner character is not yet known: looks for it in one stride, and moves m.start to where what may stand before it
   begins. False where it has not come to one. */
ALWAYS_INLINE bool find_inner(const struct Regexp *rx, const uint8_t *data, uint32_t width) {
  uint32_t from = m.inner_from > m.start ? m.inner_from : m.start, stop = m.end - from > START_STRIDE ? from + START_STRIDE : m.end;
  uint32_t hit = chars_find(data, width, from, stop, (uint32_t)FIX_VALUE(rx->inner));
  charge((hit - from) / 64);
  m.inner_from = hit;
  if (hit == stop) return false;
  const uint32_t *before = (uint32_t *)RAW_BYTES(rx->before);
  uint32_t least = hit - m.start > START_STRIDE ? hit - START_STRIDE : m.start, at = hit;
  while (at > least && in_bitmap(before, GET(at - 1))) at--;
  charge((hit - at) / 16);
  m.inner_at = hit;
  m.inner_from = hit + 1;
  if (at > least) m.start = at;                  /* else there is more of it than is looked at: it begins where it did */
  return true;
}

/* Moves m.start to the next place where a match may start. MATCH_YES: there it may; MATCH_NO:
   nowhere; MATCH_PAUSED: come again. */
ALWAYS_INLINE enum match_outcome next_start(const uint8_t *data, uint32_t width) {
  const struct Regexp *rx = REGEXP(m.regexp);
  if (FIX_VALUE(rx->flags) & RX_ANCHORED) return m.start == m.low ? MATCH_YES : MATCH_NO;
  for (;;) {
    if (m.start > m.end) return MATCH_NO;
    uint32_t stop = m.end - m.start > START_STRIDE ? m.start + START_STRIDE : m.end, from = m.start;
    if (rx->prefix != V_FALSE) {
      uint32_t count = STR_LENGTH(rx->prefix);
      uint32_t limit = m.end - stop < count ? m.end : stop + count - 1;
      m.start = chars_search(data, width, m.start, limit, STR_DATA(rx->prefix), STR_WIDTH(rx->prefix), count);
      if (m.start <= limit) return MATCH_YES;
      m.start = stop;
    } else if (rx->inner != V_FALSE && (m.inner_at == NOWHERE || m.inner_at < m.start)) {
      if (find_inner(rx, data, width)) continue;
      if (m.inner_from == m.end) return MATCH_NO;
      if (should_pause()) return MATCH_PAUSED;
      continue;
    } else if (rx->first != V_FALSE) {
      const uint32_t *first = (uint32_t *)RAW_BYTES(rx->first);
      if (rx->inner != V_FALSE && stop > m.inner_at) stop = m.inner_at + 1;
      while (m.start < stop && !in_bitmap(first, GET(m.start))) m.start++;
      if (m.start < stop) return MATCH_YES;
    } else {
      return MATCH_YES;
    }
    if (m.start == m.end) return MATCH_NO;     /* these patterns match one character at the least */
    charge((m.start - from) / 32);
    if (should_pause()) return MATCH_PAUSED;
  }
}

/* What was done since it was charged last, in this attempt or before it. */
static void charge_work(void) {
  charge((int64_t)(m.work - m.charged) / 7);
  m.charged = m.work;
}

/* ---- one attempt ---- */

enum run { RUN_FAILED, RUN_ENDED, RUN_PAUSED };
enum { RUN_ROUND = 1 << 15,        /* characters of a run without a look at the clock */
       RUN_SHORT = 64 };           /* most runs are shorter, also in a long text: they are gone through at once */

/* A run of millions, in rounds: from pos on, or from where it has come to. */
ALWAYS_INLINE enum run long_run(const uint32_t *op, const uint32_t *sets, const uint8_t *data, uint32_t width, uint32_t *pos,
                                uint32_t least, uint32_t most) {
  uint32_t mark = op[1], at = m.run_at != NOWHERE ? m.run_at : *pos;
  bool remembered = op[5] == UNBOUNDED && m.memory != V_FALSE && !m.behinds;
  if (at == least && m.run_at == NOWHERE && remembered && !may_reach(mark + 1, least)) return RUN_FAILED;
  m.run_at = NOWHERE;
  while (at < (op[6] ? least : most)) {
    uint32_t bound = at < least ? least : most, from = at, to = bound - at > RUN_ROUND ? at + RUN_ROUND : bound;
    if (at < least || !remembered) at = run_end(op[2], op[3], sets, data, width, at, to);
    else while (at < to && atom_matches(op[2], op[3], sets, GET(at)) && may_reach(mark + 1, at + 1)) at++;
    m.work += remembered ? 2 * (at - from) : (at - from) / 3;
    if (at < to) break;
    if (at == least && remembered && !may_reach(mark + 1, least)) return RUN_FAILED;
    if (at == bound && (bound == most || op[6])) break;
    charge_work();
    if (should_pause()) {
      m.run_at = at;
      return RUN_PAUSED;
    }
  }
  if (at < least) return RUN_FAILED;
  *pos = at;
  return RUN_ENDED;
}

/* Runs from m.pc, m.pos. */
ALWAYS_INLINE enum match_outcome attempt(const uint8_t *data, uint32_t width) {
  const uint32_t *code = (uint32_t *)RAW_BYTES(REGEXP(m.regexp)->code);
  const uint32_t *sets = REGEXP(m.regexp)->sets == V_FALSE ? NULL : (uint32_t *)RAW_BYTES(REGEXP(m.regexp)->sets);
  uint32_t pc = m.pc, pos = m.pos, low = m.low, end = m.end, frame[FRAME];
  uint64_t limit = m.charged + WORK_SLICE;
  bool is_long = end - low > RUN_ROUND;
  if (m.failing) {
    m.failing = false;
    goto failed;
  }
  for (;;) {
    if (++m.work >= limit || m.depth + SPARE_FRAMES > m.capacity) {
      m.pc = pc;
      m.pos = pos;
      if (m.depth + SPARE_FRAMES > m.capacity && !stack_grow()) return MATCH_PAUSED;
      if (m.work >= limit) {
        charge_work();
        limit = m.work + WORK_SLICE;
        if (should_pause()) return MATCH_PAUSED;
        if (m.work > MEMORY_AFTER && m.memory == V_FALSE && !memory_make()) return MATCH_PAUSED;
      }
    }
    const uint32_t *op = code + pc;
    switch (op[0]) {
      case RE_CHAR:
        if (pos < end && GET(pos) == op[1]) { pos++; pc += 2; continue; }
        break;
      case RE_ANY:
        if (pos < end) { pos++; pc++; continue; }
        break;
      case RE_NOT_NEWLINE:
        if (pos < end && GET(pos) != '\n') { pos++; pc++; continue; }
        break;
      case RE_SET:
        if (pos < end && set_has(sets + op[1], GET(pos))) { pos++; pc += 2; continue; }
        break;
      case RE_JUMP: pc = op[1]; continue;
      case RE_SPLIT:
        if (!may_try(op[1], pos)) break;
        push(F_CHOICE, op[3], pos, 0, 0);
        pc = op[2];
        continue;
      case RE_RUN: {
        uint32_t mark = op[1], atom = op[2], operand = op[3], min = op[4], max = op[5];
        bool goes_on = m.run_at != NOWHERE, remembered = max == UNBOUNDED && m.memory != V_FALSE && !m.behinds;
        if (!goes_on && !may_try(mark, pos)) break;
        if (min > end - pos) break;
        uint32_t least = pos + min, most = max > end - pos ? end : pos + max;
        if (goes_on || (is_long && most - pos > RUN_SHORT &&
                        (remembered || run_end(atom, operand, sets, data, width, pos, pos + RUN_SHORT) == pos + RUN_SHORT))) {
          m.pc = pc;
          m.pos = pos;
          switch (long_run(op, sets, data, width, &pos, least, most)) {
            case RUN_PAUSED: return MATCH_PAUSED;
            case RUN_FAILED: goto failed;
            case RUN_ENDED: break;
          }
          pc += RUN_SIZE;
          if (op[6] && most > least) push(F_LAZY, pc - RUN_SIZE, least, most - least, 0);
          if (!op[6] && pos > least) push(F_RUN, pc, pos, least, 0);
          continue;
        }
        if (min && run_end(atom, operand, sets, data, width, pos, least) < least) break;
        if (remembered && !may_reach(mark + 1, least)) break;
        pc += RUN_SIZE;
        pos = least;
        if (op[6]) {
          if (most > least) push(F_LAZY, pc - RUN_SIZE, least, most - least, 0);
          continue;
        }
        if (!remembered) pos = run_end(atom, operand, sets, data, width, least, most);
        else while (pos < most && atom_matches(atom, operand, sets, GET(pos)) && may_reach(mark + 1, pos + 1)) pos++;
        m.work += remembered ? 2 * (pos - least) : (pos - least) / 3;
        if (pos > least) push(F_RUN, pc, pos, least, 0);
        continue;
      }
      case RE_SAVE:
        push(F_UNDO, 0, op[1], slots[op[1]], 0);
        slots[op[1]] = pos;
        pc += 2;
        continue;
      case RE_CLOSE:
        push(F_UNDO, 0, 2 * op[1], slots[2 * op[1]], 0);
        push(F_UNDO, 0, 2 * op[1] + 1, slots[2 * op[1] + 1], 0);
        slots[2 * op[1]] = slots[2 * group_count() + op[1]];
        slots[2 * op[1] + 1] = pos;
        pc += 2;
        continue;
      case RE_START: if (pos == low) { pc++; continue; } break;
      case RE_END: if (pos == end) { pc++; continue; } break;
      case RE_LINE_START: if (pos == low || GET(pos - 1) == '\n') { pc++; continue; } break;
      case RE_LINE_END: if (pos == end || GET(pos) == '\n') { pc++; continue; } break;
      case RE_WORD: if (at_word_edge(data, width, pos)) { pc++; continue; } break;
      case RE_NOT_WORD: if (!at_word_edge(data, width, pos)) { pc++; continue; } break;
      case RE_BACKREF: case RE_BACKREF_NO_CASE: {
        uint32_t length = reference_length(data, width, op[1], pos, op[0] == RE_BACKREF_NO_CASE);
        if (length == NOWHERE) break;
        pos += length;
        pc += 2;
        continue;
      }
      case RE_LOOK: {
        uint32_t min = op[1] & NODE_BEHIND ? op[2] : 0;
        if (min > pos - low) {                  /* there is not so much behind */
          pc = op[1] & NODE_NOT ? op[4] : op[5];
          if (pc == NOWHERE) break;
          continue;
        }
        push(F_LOOK, pc, pos, m.barrier, min);
        m.barrier = m.depth;
        m.looks++;
        m.behinds += op[1] & NODE_BEHIND;
        pos -= min;
        pc += LOOK_SIZE;
        continue;
      }
      case RE_LOOK_END: {
        const uint32_t *top = stack + FRAME * (m.barrier - 1), *look = code + (top[0] >> 3);
        if ((look[1] & NODE_BEHIND) && pos != top[1]) break;
        bool negated = look[1] & NODE_NOT;
        if (negated) undo_to_barrier(frame);
        else cut(frame);
        m.looks--;
        m.behinds -= look[1] & NODE_BEHIND;
        pos = frame[1];
        pc = negated ? look[5] : look[4];
        if (pc == NOWHERE) break;
        continue;
      }
      case RE_ATOMIC:
        push(F_ATOMIC, pc, pos, m.barrier, 0);
        m.barrier = m.depth;
        pc++;
        continue;
      case RE_ATOMIC_END:
        cut(frame);
        pc++;
        continue;
      case RE_IF_GROUP:
        pc = slots[2 * op[1] + 1] != NOWHERE ? pc + 3 : op[2];
        continue;
      case RE_MATCH:
        if (pos < m.least_end) break;
        slots[1] = pos;
        return MATCH_YES;
    }
    /* this way failed: back to the last frame that has another */
  failed:
    for (;;) {
      if (m.depth == 0) return MATCH_NO;
      uint32_t *top = stack + FRAME * (m.depth - 1), kind = top[0] & 7;
      pc = top[0] >> 3;
      pos = top[1];
      if (kind == F_CHOICE) {
        m.depth--;
        break;
      }
      if (kind == F_UNDO || kind == F_TRIED) {
        if (kind == F_UNDO) slots[top[1]] = top[2];
        else record(top[2], pos);
        if (--m.depth % RUN_ROUND) continue;
        m.work += RUN_ROUND / 2;              /* there may be millions of them */
        charge_work();
        if (!should_pause()) continue;
        m.failing = true;
        return MATCH_PAUSED;
      }
      if (kind == F_RUN) {
        const uint32_t *run = code + pc - RUN_SIZE;
        if (m.looks && run[5] == UNBOUNDED) record(run[1] + 1, pos);
        pos--;
        if (code[pc] == RE_CHAR) {
          uint32_t was = pos, least = was - top[2] > RUN_ROUND ? was - RUN_ROUND : top[2];
          while (pos > least && (pos == end || GET(pos) != code[pc + 1])) pos--;
          m.work += (was - pos) / 2;
          if (pos == least && least > top[2]) {         /* on with it, after a look at the clock */
            top[1] = pos + 1;
            charge_work();
            if (!should_pause()) continue;
            m.failing = true;
            return MATCH_PAUSED;
          }
        }
        if (pos == top[2]) m.depth--;
        else top[1] = pos;
        break;
      }
      if (kind == F_LAZY) {
        const uint32_t *run = code + pc;
        if (top[2] == 0 || pos >= end || !atom_matches(run[2], run[3], sets, GET(pos)) ||
            (run[5] == UNBOUNDED && !may_reach(run[1] + 1, pos + 1))) {
          m.depth--;
          continue;
        }
        top[1] = ++pos;
        top[2]--;
        pc += RUN_SIZE;
        break;
      }
      m.barrier = top[2];
      if (kind == F_ATOMIC) {
        m.depth--;
        continue;
      }
      const uint32_t *look = code + pc;
      uint32_t length = top[3] + 1;
      if ((look[1] & NODE_BEHIND) && length <= look[3] && length <= pos - low) {
        top[3] = length;                        /* the body may match a longer piece before */
        m.barrier = m.depth;
        pos -= length;
        pc += LOOK_SIZE;
        break;
      }
      m.depth--;
      m.looks--;
      m.behinds -= look[1] & NODE_BEHIND;
      pc = look[1] & NODE_NOT ? look[4] : look[5];
      if (pc != NOWHERE) break;
    }
  }
}

/* An attempt has failed. Where the pattern begins with a run without a bound, everything was tried that may follow at any
   place within the run: what begins later in it ends at the same places, and fails, too. So the next one begins behind
   it. What follows may not depend on where the run began, as it does with back-references. */
ALWAYS_INLINE void skip_first_run(const uint8_t *data, uint32_t width) {
  const struct Regexp *rx = REGEXP(m.regexp);
  const uint32_t *op = (uint32_t *)RAW_BYTES(rx->code);
  if (FIX_VALUE(rx->flags) & RX_NO_MEMORY) return;
  while (op[0] == RE_SAVE) op += 2;
  if (op[0] != RE_RUN || op[5] != UNBOUNDED) return;
  const uint32_t *sets = rx->sets == V_FALSE ? NULL : (uint32_t *)RAW_BYTES(rx->sets);
  uint32_t limit = m.end - m.start > RUN_ROUND ? m.start + RUN_ROUND : m.end;
  uint32_t end = run_end(op[2], op[3], sets, data, width, m.start, limit);
  m.work += (end - m.start) / 3;
  if (end > m.start) m.start = end - 1;
}

ALWAYS_INLINE enum match_outcome search(const uint8_t *data, uint32_t width) {
  for (;; m.start++) {
    if (!m.running) {
      enum match_outcome start = next_start(data, width);
      if (start != MATCH_YES) return start;
      m.running = true;
      m.pc = m.depth = m.barrier = m.looks = m.behinds = 0;
      m.pos = m.start;
      memset(slots, 0xff, slot_count() * 4);
    }
    enum match_outcome outcome = attempt(data, width);
    if (outcome == MATCH_PAUSED) return outcome;
    m.running = false;
    m.work += 4;                                  /* to begin one and to end it */
    if (outcome == MATCH_YES) {
      slots[0] = m.start;
      return outcome;
    }
    skip_first_run(data, width);
    if (m.memory != V_FALSE && m.start - m.memory_start > m.memory_span / 2) {
      m.memory = V_FALSE;                       /* most of what it knows lies behind; it is made anew when needed */
      charge_work();
      m.work = m.charged = 0;
    }
    if (m.work - m.charged >= WORK_SLICE) {     /* many attempts, each of them short */
      charge_work();
      if (should_pause()) {
        m.start++;
        return MATCH_PAUSED;
      }
    }
  }
}

static enum match_outcome search_1(void) { return search(STR_DATA(m.text), 1); }
static enum match_outcome search_2(void) { return search(STR_DATA(m.text), 2); }
static enum match_outcome search_4(void) { return search(STR_DATA(m.text), 4); }

enum match_outcome match_run(void) {
  switch (STR_WIDTH(m.text)) {
    case 1: return search_1();
    case 2: return search_2();
    default: return search_4();
  }
}
