/* near.c — names that are nearly another one: what the author of an unbound name may have meant. */
#include "core/prims.h"
#include "text/near.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/unicode.h"
#include <string.h>

enum { LONGEST = 64,           /* characters: the distance of longer names is not looked at */
       FURTHEST = 3 };         /* the largest distance that may be asked for */

/* What says that nobody has looked: beside two bits for each of so many kinds of letters. */
#define KINDS 30
#define LONG_NAME (1ll << 2 * KINDS)

typedef struct { const uint8_t *data; uint32_t width, length; } Name;

static Name name_of(Value symbol) {
  Value s = SYM(symbol)->name;
  return (Name){STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s)};
}
static inline uint32_t at(const Name *n, uint32_t i) { return chars_get(n->data, n->width, i); }
static inline uint32_t lower(uint32_t c) { return c < 0x80 ? (c - 'A' < 26u ? c + 32 : c) : uc_downcase(c); }
static inline bool is_mark(uint32_t c) { return c == '-' || c == '_' || c == '?' || c == '!'; }

/* Which characters there are but marks, roughly, and which of them twice: two names that are the same but for marks
   have the same, and one change makes two bits differ at the most. LONG_NAME: nobody has looked. */
int64_t letters_of_name(Value string) {
  Name n = {STR_DATA(string), STR_WIDTH(string), STR_LENGTH(string)};
  if (n.length > LONGEST) return LONG_NAME;
  int64_t bits = 0;
  for (uint32_t i = 0; i < n.length; i++) {
    uint32_t c = at(&n, i);
    if (is_mark(c)) continue;
    int64_t bit = 1ll << lower(c) % KINDS;
    bits |= bits & bit ? bit << KINDS : bit;
  }
  return bits;
}

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

/* The name that others are compared with: at which of its places each character stands, one bit a place. */
typedef struct { uint64_t places[128]; Name name; } Pattern;

static void pattern_init(Pattern *p, Name name) {
  memset(p->places, 0, sizeof p->places);
  p->name = name;
  for (uint32_t i = 0; i < name.length; i++)
    if (at(&name, i) < 128) p->places[at(&name, i)] |= 1ull << i;
}

static uint64_t places_of(const Pattern *p, uint32_t c) {
  if (c < 128) return p->places[c];
  uint64_t places = 0;
  for (uint32_t i = 0; i < p->name.length; i++) places |= (uint64_t)(at(&p->name, i) == c) << i;
  return places;
}

/* The fewest insertions, deletions, changes and swaps of neighbours that make the one of the other, a column of the
   table of distances at a time (H. Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit
   distances", 2003). `up` and `down` have a bit for each place where the column grows or falls by one, `right` and
   `left` likewise from the column before; `same` has those where the diagonal does not grow. Each column takes one off
   what stands in its last place at the most, so most names are given up after a few of them. */
static uint32_t distance(const Pattern *p, const Name *other, uint32_t most) {
  uint64_t up = ~0ull, down = 0, same = 0, before = 0, last = 1ull << (p->name.length - 1);
  uint32_t d = p->name.length;
  for (uint32_t j = 0; j < other->length; j++) {
    uint64_t here = places_of(p, at(other, j)), swapped = ((~same & here) << 1) & before;
    same = (((here & up) + up) ^ up) | here | down | swapped;
    uint64_t right = down | ~(same | up), left = same & up;
    if (right & last) d++;
    if (left & last) d--;
    if (d > most + (other->length - 1 - j)) return most + 1;
    right = right << 1 | 1;
    up = left << 1 | ~(same | right);
    down = right & same;
    before = here;
  }
  return d;
}

/* (%near-misses symbol symbols most): those of them that are the closest to it, where they are at most so far: 0 is
   one that differs in the marks alone. Names that begin with % are nobody's. The closer one is that was found, the fewer
   of the others are looked at. */
static Value prim_near_misses(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  if (!IS_FIX(args[2]) || FIX_VALUE(args[2]) < 0 || FIX_VALUE(args[2]) > FURTHEST) return err_type(NULL, 2, "small number", args[2]);
  uint32_t most = (uint32_t)FIX_VALUE(args[2]), tried = 0;
  Name name = name_of(args[0]);
  int64_t letters = FIX_VALUE(SYM(args[0])->letters);
  Pattern pattern;
  if (most && name.length && name.length <= LONGEST) pattern_init(&pattern, name);
  else most = 0;
  Value rest = args[1], found = V_NIL;
  if (is_pair(vm.resume)) {
    rest = CAR(vm.resume);
    most = (uint32_t)FIX_VALUE(CADR(vm.resume));
    found = CDDR(vm.resume);
  }
  for (; is_pair(rest); rest = CDR(rest)) {
    if (++tried % 256 == 0) {
      charge(256);
      if (should_pause()) { vm.resume = cons(rest, cons(FIX(most), found)); return V_AGAIN; }
    }
    if (!IS(CAR(rest), T_SYMBOL)) continue;
    int64_t others = FIX_VALUE(SYM(CAR(rest))->letters);
    bool known = letters != LONG_NAME && others != LONG_NAME;
    if (known && __builtin_popcountll((uint64_t)(letters ^ others)) > (int)(2 * most)) continue;
    Name other = name_of(CAR(rest));
    if (!other.length || at(&other, 0) == '%') continue;
    uint32_t far = most + 1;
    if ((letters == others || !known) && same_but_for_marks(&name, &other)) far = 0;
    else if (most && other.length <= name.length + most && name.length <= other.length + most)
      far = distance(&pattern, &other, most);
    if (far > most) continue;
    found = cons(CAR(rest), far < most ? V_NIL : found);
    most = far;
  }
  charge(tried % 256);
  return found;
}

const PrimDef near_prims[] = {
  {"%near-misses", prim_near_misses, 3, 3, NULL},
  {0}
};
