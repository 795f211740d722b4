/* near.c — names that are nearly another one: what the author of an unbound name may have meant. */
#include "core/prims.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/unicode.h"

enum { LONGEST = 128,          /* characters: the distance of longer names is not looked at */
       FURTHEST = 3 };         /* the largest distance that may be asked for */

typedef struct { const uint8_t *data; uint32_t width, length; } Name;

static Name name_of(Value symbol) {
  Value s = SYM(symbol)->name;
  return (Name){STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s)};
}
static inline uint32_t at(const Name *n, uint32_t i) { return chars_get(n->data, n->width, i); }
static inline uint32_t lower(uint32_t c) { return c < 0x80 ? (c - 'A' < 26u ? c + 32 : c) : uc_downcase(c); }
static inline bool is_mark(uint32_t c) { return c == '-' || c == '_' || c == '?' || c == '!'; }

/* Are they one but for the marks that people mix up: case, - and _, ? and !? */
static bool same_but_for_marks(const Name *a, const Name *b) {
  uint32_t i = 0, j = 0, letters = 0;
  for (;; i++, j++, letters++) {
    while (i < a->length && is_mark(at(a, i))) i++;
    while (j < b->length && is_mark(at(b, j))) j++;
    if (i == a->length || j == b->length) return i == a->length && j == b->length && letters > 1;
    if (lower(at(a, i)) != lower(at(b, j))) return false;
  }
}

static uint32_t first_letter(const Name *n) {
  for (uint32_t i = 0; i < n->length; i++)
    if (!is_mark(at(n, i))) return lower(at(n, i));
  return 0;
}

/* Which characters there are, roughly: one change makes two bits differ at the most. */
static uint32_t letters_of(const Name *n) {
  uint32_t bits = 0;
  for (uint32_t i = 0; i < n->length; i++) bits |= 1u << (at(n, i) & 31);
  return bits;
}

/* The fewest insertions, deletions, changes and swaps of neighbours that make b of a; more than `most` where it
   is more. Only what lies within `most` of the diagonal counts. */
static uint32_t distance(const Name *a, const Name *b, uint32_t most) {
  uint8_t rows[3][LONGEST + FURTHEST + 2], *before = rows[0], *last = rows[1], *row = rows[2];
  uint32_t far = most + 1;
  for (uint32_t j = 0; j <= b->length; j++) last[j] = (uint8_t)(j < far ? j : far);
  for (uint32_t i = 1; i <= a->length; i++) {
    uint32_t from = i > most ? i - most : 1, to = i + most < b->length ? i + most : b->length, least = far, ca = at(a, i - 1);
    row[from - 1] = (uint8_t)(from == 1 && i < far ? i : far);
    for (uint32_t j = from; j <= to; j++) {
      uint32_t cb = at(b, j - 1), cost = last[j - 1] + (ca == cb ? 0u : 1u);
      if (row[j - 1] + 1u < cost) cost = row[j - 1] + 1u;
      if ((j < i + most) && last[j] + 1u < cost) cost = last[j] + 1u;      /* beyond, the row above has nothing */
      if (i > 1 && j > 1 && ca == at(b, j - 2) && cb == at(a, i - 2) && before[j - 2] + 1u < cost) cost = before[j - 2] + 1u;
      if (cost > far) cost = far;
      row[j] = (uint8_t)cost;
      if (cost < least) least = cost;
    }
    if (least > most && row[from - 1] > most) return far;
    uint8_t *free = before;
    before = last;
    last = row;
    row = free;
  }
  return last[b->length];
}

/* (%near-misses symbol symbols most): (distance . symbol) of those that are at most so far from it, 0 for one that
   differs in marks alone. Names that begin with % are nobody's. What was found is kept in vm.resume: (rest . found). */
static Value prim_near_misses(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  if (!IS_FIX(args[2]) || FIX_VALUE(args[2]) < 0 || FIX_VALUE(args[2]) > FURTHEST) return err_type(NULL, 2, "small number", args[2]);
  uint32_t most = (uint32_t)FIX_VALUE(args[2]), tried = 0;
  Name name = name_of(args[0]);
  uint32_t letters = letters_of(&name), first = first_letter(&name);
  Value rest = args[1], found = V_NIL;
  if (is_pair(vm.resume)) { rest = CAR(vm.resume); found = CDR(vm.resume); }
  for (; is_pair(rest); rest = CDR(rest)) {
    if (++tried % 256 == 0) {
      charge(256);
      if (should_pause()) { vm.resume = cons(rest, found); return V_AGAIN; }
    }
    if (!IS(CAR(rest), T_SYMBOL)) continue;
    Name other = name_of(CAR(rest));
    if (!other.length) continue;
    uint32_t c = at(&other, 0), far = most + 1;
    if (c == '%') continue;
    if ((is_mark(c) || lower(c) == first) && same_but_for_marks(&name, &other)) far = 0;
    else if (most && other.length <= name.length + most && name.length <= other.length + most && name.length <= LONGEST &&
             __builtin_popcount(letters ^ letters_of(&other)) <= (int)(2 * most))
      far = distance(&name, &other, most);
    if (far <= most) found = cons(cons(FIX(far), CAR(rest)), found);
  }
  charge(tried % 256);
  return found;
}

const PrimDef near_prims[] = {
  {"%near-misses", prim_near_misses, 3, 3, NULL},
  {0}
};
