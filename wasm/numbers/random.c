/* random.c — pseudo-random numbers: xoshiro256** (Blackman and Vigna 2018).
 *
 * The state is in linear memory, so it travels with snapshots; without (random-seed k) every
 * session draws the same numbers.
 */
#include "numbers/random.h"
#include "numbers/bignum.h"
#include "numbers/number.h"

static uint64_t state[4];

static uint64_t rotate_left(uint64_t x, int k) { return x << k | x >> (64 - k); }

static uint64_t next(void) {
  uint64_t result = rotate_left(state[1] * 5, 7) * 9, t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotate_left(state[3], 45);
  return result;
}

/* Splitmix64 spreads a seed over the state; it never gives four zeros. */
static void seed(uint64_t x) {
  for (int i = 0; i < 4; i++) {
    uint64_t z = x += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    state[i] = z ^ z >> 31;
  }
}

void random_init(void) { seed(0); }

static uint64_t below(uint64_t limit) {                /* limit > 0; no bias: what is above the last multiple is drawn again */
  uint64_t excess = (UINT64_MAX % limit + 1) % limit, r;
  do r = next(); while (r > UINT64_MAX - excess);
  return r % limit;
}

static Value below_big(Value limit) {
  uint32_t bits = int_bits(limit), count = (bits + 31) / 32;
  TRY_LET(room, int_room(count));
  charge(count);
  for (;;) {                                           /* half of the draws hit, at the worst */
    Value r = int_new(count, false);
    for (uint32_t i = 0; i < count; i++) BIG_LIMBS(r)[i] = (Limb)(next() >> 32);
    if (bits % 32) BIG_LIMBS(r)[count - 1] >>= 32 - bits % 32;
    r = int_trim(r);
    if (int_compare(r, limit) < 0) return r;
    if (count > 64) TRY_SET(room, int_room(count));    /* a draw that is thrown away is not a side effect */
  }
}

static Value random_below(Value limit) {
  return IS_FIX(limit) ? FIX(below((uint64_t)FIX_VALUE(limit))) : below_big(limit);
}

static Value p_random(int argc, Value *args) {
  if (argc == 0) return make_flonum(((double)(next() >> 12) + 0.5) * 0x1p-52);      /* never 0 or 1 */
  if (argc == 1) {
    if (!is_exact_integer(args[0]) || int_sign(args[0]) <= 0) return err_type("random", 0, "exact positive integer", args[0]);
    return random_below(args[0]);
  }
  for (int i = 0; i < 2; i++)
    if (!is_exact_integer(args[i])) return err_type("random", i, "exact integer", args[i]);
  TRY_LET(range, int_sub(args[1], args[0]));
  if (int_sign(range) <= 0)
    return err_failf("exn:fail:contract", "random: the upper end must be above the lower one, got %v and %v", args[0], args[1]);
  TRY_LET(r, random_below(range));
  return int_add(args[0], r);
}

static Value p_seed(int argc, Value *args) {
  (void)argc;
  if (!is_exact_integer(args[0])) return err_type("random-seed", 0, "exact integer", args[0]);
  seed(IS_FIX(args[0]) ? (uint64_t)FIX_VALUE(args[0]) : num_hash(args[0]));
  return V_VOID;
}

static Value p_state(int argc, Value *args) {
  (void)argc; (void)args;
  Value v = make_vector(4, FIX(0));
  for (int i = 0; i < 4; i++) VEC(v)[i] = int_from_u64(state[i]);
  return v;
}

static Value p_set_state(int argc, Value *args) {
  (void)argc;
  CHECK_VECTOR("%random-state!", 0);
  uint64_t words[4], any = 0;
  for (int i = 0; i < 4; i++) {
    Value v = VEC_LENGTH(args[0]) == 4 ? VEC(args[0])[i] : V_FALSE;
    if (!is_exact_integer(v) || int_sign(v) < 0 || int_bits(v) > 64)
      return err_type("%random-state!", 0, "vector of four 64-bit integers", args[0]);
    Int n;
    int_view(v, &n);
    words[i] = (n.count > 0 ? n.limbs[0] : 0) | (n.count > 1 ? (uint64_t)n.limbs[1] << 32 : 0);
    any |= words[i];
  }
  if (!any) return err_type("%random-state!", 0, "state that is not all zero", args[0]);
  for (int i = 0; i < 4; i++) state[i] = words[i];
  return V_VOID;
}

const PrimDef random_prims[] = {
  {"random", p_random, 0, 2, "(random) or (random limit) or (random low high)"},
  {"random-seed", p_seed, 1, 1, "(random-seed k)"},
  {"%random-state", p_state, 0, 0, "(%random-state)"},
  {"%random-state!", p_set_state, 1, 1, "(%random-state! vector)"},
  {0},
};
