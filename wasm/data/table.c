/* table.c — hash tables: insertion order, compact index, persistent immutable versions.
 * The layout and its invariants stand in table.h. */
#include "data/table.h"
#include "core/slip.h"
#include "core/check.h"
#include "core/worklist.h"
#include "data/equal.h"
#include "numbers/number.h"
#include "text/string.h"
#include "text/symbol.h"

/* ---- stores ---- */

enum { S_COUNT, S_USED, S_EPOCH, S_ADDRESSED, S_INDEX, S_DEBT, S_WORK, S_ENTRIES };

#define S(store, slot) (VEC(store)[slot])
#define S_NUMBER(store, slot) ((uint32_t)FIX_VALUE(VEC(store)[slot]))
#define ENTRY_KEY(store, i) (VEC(store)[S_ENTRIES + 2 * (i)])
#define ENTRY_VALUE(store, i) (VEC(store)[S_ENTRIES + 2 * (i) + 1])
#define CAPACITY(store) ((VEC_LENGTH(store) - S_ENTRIES) / 2)
#define HASHES(store) ((uint32_t *)RAW_BYTES(S(store, S_INDEX)))

/* The index has a power of two of places and the store two thirds as many entries, so that every
   probe meets a free place. */
static uint32_t index_places(uint32_t capacity) {
  if (capacity <= 5) return 8;
  uint32_t places = 1u << (32 - __builtin_clz(capacity));      /* the next power of two: half of it is too few */
  return places * 2 / 3 < capacity ? places * 2 : places;
}
static uint32_t index_width(uint32_t places) { return places <= 256 ? 1 : places <= 65536 ? 2 : 4; }

/* The store's open-addressed part, taken apart. */
typedef struct { uint8_t *at; uint32_t mask, width; } Index;

static inline Index index_of(Value store) {
  uint32_t capacity = CAPACITY(store);                  /* two thirds of the places, or three of eight */
  uint32_t places = capacity <= 5 ? 8 : 1u << (32 - __builtin_clz(capacity));
  return (Index){RAW_BYTES(S(store, S_INDEX)) + 4 * (size_t)capacity, places - 1, index_width(places)};
}
static inline uint32_t place_get(const Index *x, uint32_t place) {
  return x->width == 1 ? x->at[place] : x->width == 2 ? ((uint16_t *)x->at)[place] : ((uint32_t *)x->at)[place];
}
static inline void place_put(Index *x, uint32_t place, uint32_t content) {
  if (x->width == 1) x->at[place] = (uint8_t)content;
  else if (x->width == 2) ((uint16_t *)x->at)[place] = (uint16_t)content;
  else ((uint32_t *)x->at)[place] = content;
}

static uint64_t store_bytes(uint32_t capacity) {
  uint32_t places = index_places(capacity);
  return 16ull + S_ENTRIES * 8 + 16ull * capacity + 16 + 4ull * capacity + (uint64_t)places * index_width(places);
}

uint64_t table_bytes(uint32_t entries) { return store_bytes(index_places(entries) * 2 / 3) + 64; }

static uint32_t capacity_for(uint32_t entries) {
  uint32_t places = index_places(entries);
  return places == 8 && entries < 3 ? 3 : places * 2 / 3;      /* many tables stay tiny */
}
static uint32_t index_bytes(uint32_t capacity, uint32_t places) { return 4 * capacity + places * index_width(places); }

static void store_begin(Value store, Value index) {
  S(store, S_COUNT) = S(store, S_USED) = S(store, S_DEBT) = FIX(0);
  S(store, S_EPOCH) = FIX(heap_epoch());
  S(store, S_ADDRESSED) = S(store, S_WORK) = V_FALSE;
  S(store, S_INDEX) = index;
}

static Value make_store(uint32_t entries) {
  uint32_t capacity = capacity_for(entries), bytes = index_bytes(capacity, index_places(entries));
  Value index = heap_raw(T_RAW, 0, bytes);
  memset(RAW_BYTES(index), 0, bytes);
  Value store = heap_object(T_VECTOR, 0, S_ENTRIES + 2 * capacity);
  store_begin(store, index);
  for (uint32_t i = 0; i < capacity; i++) {
    ENTRY_KEY(store, i) = V_UNBOUND;
    ENTRY_VALUE(store, i) = V_FALSE;
  }
  charge(capacity / 8);
  return store;
}

/* Keys can be made that all want one place: the way from there is charged. */
static inline void charge_probes(const Index *x, uint32_t from, uint32_t to) {
  uint32_t probes = (to - from) & x->mask;
  if (probes > 15) charge(probes / 16);
}

static inline void insert_in(Index *x, uint32_t hash, uint32_t position) {
  uint32_t place = hash & x->mask;
  while (place_get(x, place)) place = (place + 1) & x->mask;
  place_put(x, place, position + 1);
  charge_probes(x, hash, place);
}
static void index_insert(Value store, uint32_t position) {
  Index x = index_of(store);
  insert_in(&x, HASHES(store)[position], position);
}

/* Takes a live position out and closes the gap, so that the index never holds dead ones. */
static void index_delete(Value store, uint32_t position) {
  Index x = index_of(store);
  uint32_t *hashes = HASHES(store), gap = hashes[position] & x.mask, next;
  while (place_get(&x, gap) != position + 1) gap = (gap + 1) & x.mask;
  for (next = (gap + 1) & x.mask;; next = (next + 1) & x.mask) {
    uint32_t content = place_get(&x, next);
    if (!content) break;
    uint32_t home = hashes[content - 1] & x.mask;
    if (((next - home) & x.mask) < ((next - gap) & x.mask)) continue;   /* it may not move before its home */
    place_put(&x, gap, content);
    gap = next;
  }
  charge_probes(&x, hashes[position], next);
  place_put(&x, gap, 0);
}

/* ---- hashing ---- */

static inline uint32_t fold(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdu;
  h ^= h >> 33;
  return (uint32_t)h;
}

/* Is the key told apart by where it lies? Then its hash is stale once the collector moved it. */
static bool by_address(enum table_kind kind, Value key) {
  if (IS_FIX(key) || TAG(key) < T_PAIR || IS(key, T_SYMBOL) || IS(key, T_KEYWORD) || is_number(key)) return false;
  if (kind == TABLE_EQ || kind == TABLE_EQV) return true;
  switch (TAG(key)) {
    case T_PAIR: case T_LPAIR: case T_STRING: case T_VECTOR: case T_BYTES: case T_UVECTOR: case T_BOX: case T_TABLE:
      return false;
    case T_RECORD:
      return !is_open_record(key) && !is_custom_record(key);
    default:
      return true;
  }
}

/* Is the key told by its word alone, wherever the collector moves it? */
static inline bool is_plain(Value key) { return IS_FIX(key) || TAG(key) < T_PAIR || IS(key, T_SYMBOL) || IS(key, T_KEYWORD); }
static inline uint32_t plain_hash(Value key) {
  if (IS_FIX(key) || TAG(key) < T_PAIR) return fold(key * 0x9e3779b97f4a7c15u);
  return fold((uint64_t)FIX_VALUE(SYM(key)->hash));
}
/* A string and the symbol of its name have the same: what looks for the one finds the other. */
static inline uint32_t text_hash(Value string) {
  uint32_t length = STR_LENGTH(string);
  charge(1 + (length < 65536 ? length >> 5 : 1024));
  return fold(name_hash(string));
}

static uint32_t key_hash(enum table_kind kind, Value key) {
  if (is_plain(key)) return plain_hash(key);
  if (IS(key, T_STRING) && kind != TABLE_EQ && kind != TABLE_EQV) return text_hash(key);
  if (is_number(key)) return fold(num_hash(key));
  if (by_address(kind, key)) {
    if (kind == TABLE_EQUAL && is_scoped(key)) note_slip(SLIP_SCOPED_KEY, V_FALSE, V_FALSE);
    return fold((uint64_t)PAYLOAD(key) * 0x9e3779b97f4a7c15u);
  }
  return fold(equal_hash(key));
}

static bool is_stale(Value store) {
  return S(store, S_ADDRESSED) != V_FALSE && FIX_VALUE(S(store, S_EPOCH)) != (int64_t)heap_epoch();
}

/* After a collection: new hashes for the keys that moved, a new index. Where it is long and may pause, it does so
   (false): #(position epoch) in S_WORK says how far it has come. */
enum { PIECE = 64, SHORT = 2048 };           /* entries: between two looks whether to pause; so few that it never does */
static bool store_rehash(enum table_kind kind, Value store, bool may_pause) {
  uint32_t used = S_NUMBER(store, S_USED), *hashes = HASHES(store), i = 0;
  Index x = index_of(store);
  Value work = S(store, S_WORK), epoch = FIX(heap_epoch());
  if (IS(work, T_VECTOR) && VEC(work)[1] == epoch) i = (uint32_t)FIX_VALUE(VEC(work)[0]);
  else memset(x.at, 0, (size_t)(x.mask + 1) * x.width);
  for (uint32_t n = 1; i < used; i++, n++) {
    Value key = ENTRY_KEY(store, i);
    if (key != V_UNBOUND) {
      if (by_address(kind, key)) hashes[i] = key_hash(kind, key);
      insert_in(&x, hashes[i], i);
    }
    if (n % PIECE == 0 && (charge(PIECE / 2), may_pause && should_pause()) && used > SHORT) {
      S(store, S_WORK) = make_vector(2, epoch);
      VEC(S(store, S_WORK))[0] = FIX(i + 1);
      return false;
    }
  }
  S(store, S_EPOCH) = epoch;
  S(store, S_WORK) = V_FALSE;
  charge(used % PIECE / 2);
  return true;
}

/* ---- entries of a store ---- */

static void store_append(enum table_kind kind, Value store, Value key, Value value, uint32_t hash) {
  uint32_t i = S_NUMBER(store, S_USED);
  CHECK(i < CAPACITY(store));
  ENTRY_KEY(store, i) = key;
  ENTRY_VALUE(store, i) = value;
  HASHES(store)[i] = hash;
  S(store, S_USED) = FIX(i + 1);
  S(store, S_COUNT) += 2;                        /* a fixnum's one */
  if (by_address(kind, key)) S(store, S_ADDRESSED) = V_TRUE;
  index_insert(store, i);
}

/* An entry changes: a larger store that is being filled is not what it was. */
static inline void touch(Value store) { S(store, S_WORK) = V_FALSE; }

static void store_remove(Value store, uint32_t i) {
  touch(store);
  index_delete(store, i);
  ENTRY_KEY(store, i) = V_UNBOUND;
  ENTRY_VALUE(store, i) = V_FALSE;
  S(store, S_COUNT) -= 2;
  uint32_t used = S_NUMBER(store, S_USED);
  while (used && ENTRY_KEY(store, used - 1) == V_UNBOUND) used--;
  S(store, S_USED) = FIX(used);
}

/* Makes the entry at a position this one; V_UNBOUND as the key makes it none. */
static void store_assign(enum table_kind kind, Value store, uint32_t i, Value key, Value value, uint32_t hash) {
  bool live = i < S_NUMBER(store, S_USED) && ENTRY_KEY(store, i) != V_UNBOUND;
  if (key == V_UNBOUND) {
    if (live) store_remove(store, i);
    return;
  }
  touch(store);
  ENTRY_VALUE(store, i) = value;
  if (live) return;
  ENTRY_KEY(store, i) = key;
  HASHES(store)[i] = by_address(kind, key) ? key_hash(kind, key) : hash;
  if (i >= S_NUMBER(store, S_USED)) S(store, S_USED) = FIX(i + 1);
  S(store, S_COUNT) += 2;
  if (by_address(kind, key)) S(store, S_ADDRESSED) = V_TRUE;
  index_insert(store, i);
}

/* Copies the entries from a position on, without gaps or each at its position: to the end, or where it may pause to where
   it must. The hashes are as good as they were when the copy was begun, or better. */
enum gaps { CLOSE_GAPS, KEEP_GAPS };
static uint32_t copy_entries(Value to, Value from, uint32_t i, bool may_pause, enum gaps gaps) {
  uint32_t used = S_NUMBER(from, S_USED), at = S_NUMBER(to, S_USED), count = S_NUMBER(to, S_COUNT);
  uint32_t *hashes = HASHES(from), *to_hashes = HASHES(to);
  Index x = index_of(to);
  CHECK(i >= at && (gaps == KEEP_GAPS ? used : S_NUMBER(from, S_COUNT)) <= CAPACITY(to));
  if (i == 0) {
    S(to, S_ADDRESSED) = S(from, S_ADDRESSED);       /* at the most: one that was taken out may have been the last */
    S(to, S_EPOCH) = S(from, S_EPOCH);
  }
  for (uint32_t n = 1; i < used; n++) {
    Value key = ENTRY_KEY(from, i);
    if (key != V_UNBOUND) {
      ENTRY_KEY(to, at) = key;
      ENTRY_VALUE(to, at) = ENTRY_VALUE(from, i);
      to_hashes[at] = hashes[i];
      insert_in(&x, hashes[i], at++);
      count++;
    } else if (gaps == KEEP_GAPS) at++;
    i++;
    if (n % PIECE == 0 && (charge(PIECE / 2), may_pause && should_pause()) && used > SHORT) break;
  }
  S(to, S_USED) = FIX(at);
  S(to, S_COUNT) = FIX(count);
  charge(used % PIECE / 2);
  return i;
}

/* A copy without gaps, with room for so many entries. */
static Value store_copy(Value store, uint32_t entries) {
  Value copy = make_store(entries);
  copy_entries(copy, store, 0, false, CLOSE_GAPS);
  return copy;
}

/* ---- large stores ---- */

/* A large store is made piece by piece: what there is of it is kept as such a vector; at the end the store stands in
   its first slot. V_TRUE, or V_AGAIN. */
enum { MADE_STORE, MADE_AT, MADE_INDEX, MADE_SIZE };
static Value make_large_store(uint32_t entries, Value work) {
  uint32_t capacity = capacity_for(entries), bytes = index_bytes(capacity, index_places(entries));
  Value *made = VEC(work), store = made[MADE_STORE], index = made[MADE_INDEX];
  uint32_t at = (uint32_t)FIX_VALUE(made[MADE_AT]);
#define PAUSE(i) (made[MADE_STORE] = store, made[MADE_AT] = FIX(i), V_AGAIN)
  if (index == V_FALSE) {
    if (!IS(store, T_VECTOR) && vector_filled(&store, &at, S_ENTRIES + 2 * capacity, V_FALSE) == V_AGAIN) return PAUSE(at);
    FOR_PARTS(i, part, at, capacity, 16, PAUSE(i))
      for (uint32_t k = i; k < i + part; k++) ENTRY_KEY(store, k) = V_UNBOUND;
    if (!heap_reserve(bytes)) { (void)PAUSE(capacity); return need_memory(bytes); }
    made[MADE_INDEX] = index = heap_raw(T_RAW, 0, bytes);
    at = 0;
  }
  FOR_PARTS(i, part, at, bytes, 64, PAUSE(i)) memset(RAW_BYTES(index) + i, 0, part);
#undef PAUSE
  store_begin(store, index);
  made[MADE_STORE] = store;
  return V_TRUE;
}

/* ---- versions ---- */

/* A version that does not hold the store: has its neighbour there. */
static bool is_difference(Value table) { return IS(TABLE(table)->store, T_TABLE); }

/* What is kept of the entry that a version has at a position where its neighbour has another one. A key's hash is not
   found again each time: it may be that of a long text. */
enum { POSITION_BITS = 28 };                 /* 16 bytes an entry: more do not fit into a memory of 4 GiB */
static void note_difference(Value table, Value neighbour, uint32_t i, Value key, Value value, uint32_t hash, uint32_t count) {
  struct Table *t = TABLE(table);
  t->store = neighbour;
  t->position = FIX((int64_t)hash << POSITION_BITS | i);
  t->key = key;
  t->value = value;
  t->info = FIX(FIX_VALUE(t->info) | (int64_t)count << TABLE_FLAG_BITS);
}

/* Brings the store to this version. The links from here to the version that holds the store are
   turned round first; then each difference on the way back is applied to the store, and its
   inverse is left in the version that the store leaves: where there is an own store for it, the version that held
   the store gets that instead. */
static void reroot(Value table, Value own) {
  Value before = V_FALSE, holder = table;
  int64_t steps = 0;
  for (; is_difference(holder); steps++) {
    Value next = TABLE(holder)->store;
    TABLE(holder)->store = before;
    before = holder;
    holder = next;
  }
  Value store = TABLE(holder)->store;
  S(store, S_DEBT) = FIX(FIX_VALUE(S(store, S_DEBT)) + steps);
  while (before != V_FALSE) {
    struct Table *to = TABLE(before);
    uint32_t i = (uint32_t)(FIX_VALUE(to->position) & ((1 << POSITION_BITS) - 1));
    uint32_t hash = (uint32_t)(FIX_VALUE(to->position) >> POSITION_BITS);
    if (own != V_FALSE) {
      TABLE(holder)->store = own;
      own = V_FALSE;
    } else if (i < S_NUMBER(store, S_USED)) {
      note_difference(holder, before, i, ENTRY_KEY(store, i), ENTRY_VALUE(store, i), HASHES(store)[i], S_NUMBER(store, S_COUNT));
    } else {
      note_difference(holder, before, i, V_UNBOUND, V_FALSE, 0, S_NUMBER(store, S_COUNT));
    }
    store_assign(TABLE_KIND(table), store, i, to->key, to->value, hash);
    holder = before;
    before = to->store;
    to->store = store;
    to->position = to->key = to->value = V_FALSE;
    to->info = FIX(FIX_VALUE(to->info) & TABLE_FLAGS);
  }
  charge(steps);
}

static Value entries_of(Value table) {
  if (is_difference(table)) reroot(table, V_FALSE);
  return TABLE(table)->store;
}

/* A way of a million versions is gone in pieces, from the end where the store is: every STRIDE'th version on it is
   remembered, and the store brought to one after the other. Between two of them all versions are as whole as ever, should
   the primitive never go on. Where walks have cost as much as a copy, the version that held the store keeps one.
   This is what vm.walk keeps meanwhile: */
enum { WALK_TO, WALK_AT, WALK_STEPS, WALK_MARKS, WALK_OWN, WALK_WORK, WALK_COPIED, WALK_SIZE };
enum { STRIDE = 64, MARKS = 1024 };          /* versions; and so many marks are made between two pauses, for memory's sake */

/* Finds the holder, and makes marks on the way: V_TRUE or V_AGAIN. */
static Value mark_way(Value *walk) {
  while (is_difference(walk[WALK_AT])) {
    Value at = walk[WALK_AT] = TABLE(walk[WALK_AT])->store;
    int64_t steps = FIX_VALUE(walk[WALK_STEPS] += 2);  /* a fixnum's one */
    if (steps % STRIDE || !is_difference(at)) continue;
    walk[WALK_MARKS] = cons(at, walk[WALK_MARKS]);
    charge(STRIDE / 8);
    if (should_pause() || steps % (STRIDE * MARKS) == 0) return V_AGAIN;
  }
  return V_TRUE;
}

static bool is_worth_a_copy(Value store, int64_t steps) {
  return FIX_VALUE(S(store, S_DEBT)) + steps > (int64_t)S_NUMBER(store, S_COUNT) + 16;
}

/* The store that the holder is to keep, in which every entry has its position (V_NIL: none): V_TRUE or V_AGAIN. One that must be
   there (apart) asks for memory until there is some. */
static Value make_own(Value *walk, bool apart) {
  Value store = TABLE(walk[WALK_AT])->store;
  if (walk[WALK_OWN] == V_FALSE) {
    if (walk[WALK_WORK] == V_FALSE) {
      uint64_t bytes = store_bytes(CAPACITY(store));
      bool wanted = apart || is_worth_a_copy(store, FIX_VALUE(walk[WALK_STEPS]));
      if (!wanted || !heap_reserve(bytes)) {
        walk[WALK_OWN] = V_NIL;
        return apart ? need_memory(bytes) : V_TRUE;
      }
      S(store, S_DEBT) = FIX(-FIX_VALUE(walk[WALK_STEPS]));      /* this walk is paid for */
      walk[WALK_WORK] = make_vector(MADE_SIZE, V_FALSE);
      VEC(walk[WALK_WORK])[MADE_AT] = FIX(0);
    }
    if (make_large_store(CAPACITY(store), walk[WALK_WORK]) != V_TRUE) {
      if (!vm.need_bytes || apart) return V_AGAIN;
      vm.need_bytes = 0;                                          /* it goes without */
      walk[WALK_OWN] = V_NIL;
      return V_TRUE;
    }
    walk[WALK_OWN] = VEC(walk[WALK_WORK])[MADE_STORE];
  }
  if (walk[WALK_OWN] == V_NIL) return V_TRUE;
  walk[WALK_COPIED] = FIX(copy_entries(walk[WALK_OWN], store, (uint32_t)FIX_VALUE(walk[WALK_COPIED]), true, KEEP_GAPS));
  return FIX_VALUE(walk[WALK_COPIED]) < (int64_t)S_NUMBER(store, S_USED) ? V_AGAIN : V_TRUE;
}

static Value go_way(Value table, bool apart) {
  if (!IS(vm.walk, T_VECTOR) || VEC(vm.walk)[WALK_TO] != table) {
    Value at = table;
    int64_t steps = 0;
    for (; steps < STRIDE && is_difference(at); steps++) at = TABLE(at)->store;
    if (!is_difference(at) && !apart && !is_worth_a_copy(TABLE(at)->store, steps)) {
      reroot(table, V_FALSE);
      return V_TRUE;
    }
    vm.walk = make_vector(WALK_SIZE, V_FALSE);
    VEC(vm.walk)[WALK_TO] = VEC(vm.walk)[WALK_AT] = table;
    VEC(vm.walk)[WALK_STEPS] = VEC(vm.walk)[WALK_COPIED] = FIX(0);
    VEC(vm.walk)[WALK_MARKS] = V_NIL;
  }
  Value *walk = VEC(vm.walk);
  if (mark_way(walk) != V_TRUE || make_own(walk, apart) != V_TRUE) return V_AGAIN;
  while (is_difference(table)) {
    bool last = walk[WALK_MARKS] == V_NIL;
    Value next = last ? table : CAR(walk[WALK_MARKS]);
    reroot(next, walk[WALK_OWN] == V_NIL ? V_FALSE : walk[WALK_OWN]);
    walk[WALK_AT] = next;
    walk[WALK_OWN] = V_NIL;
    if (last) break;
    walk[WALK_MARKS] = CDR(walk[WALK_MARKS]);
    if (should_pause()) return V_AGAIN;
  }
  vm.walk = V_FALSE;
  return V_TRUE;
}

/* For a primitive: V_TRUE where the table is the version that holds the store, or V_AGAIN. No other fiber may run
   before it is, or two that want different versions would get nowhere: so vm.resume is not false. */
static Value bring(Value table, bool apart) {
  if (!is_difference(table)) return V_TRUE;
  Value done = go_way(table, apart);
  if (done != V_TRUE && vm.resume == V_FALSE) vm.resume = V_NIL;
  if (done == V_TRUE && vm.resume == V_NIL) vm.resume = V_FALSE;
  return done;
}
Value table_bring(Value table) { return bring(table, false); }

/* The store, at this version, with valid hashes: to look for a key. */
static Value store_of(Value table) {
  Value store = entries_of(table);
  if (is_stale(store)) store_rehash(TABLE_KIND(table), store, false);
  return store;
}

/* For a primitive that may pause: V_TRUE where store_of takes no time, or V_AGAIN. */
static Value make_valid_apart(Value table, bool apart) {
  if (bring(table, apart) != V_TRUE) return V_AGAIN;
  Value store = TABLE(table)->store;
  return !is_stale(store) || store_rehash(TABLE_KIND(table), store, true) ? V_TRUE : V_AGAIN;
}
static Value make_valid(Value table) { return make_valid_apart(table, false); }

/* Versions of one table that are gone through together need a store each. */
Value table_bring_both(Value a, Value b) {
  if (bring(a, false) != V_TRUE) return V_AGAIN;
  return make_valid_apart(b, a != b);
}

bool table_is_near(Value table, int64_t most) {
  for (; most > 0 && is_difference(table); most--) table = TABLE(table)->store;
  return !is_difference(table);
}

static Value make_table(int64_t info, bool immutable, Value store) {
  Value table = heap_object(T_TABLE, immutable ? H_IMMUTABLE : 0, 5);
  struct Table *t = TABLE(table);
  t->info = FIX(info);
  t->store = store;
  t->position = t->key = t->value = V_FALSE;
  return table;
}

static bool is_immutable(Value table) { return (OBJ_FLAGS(table) & H_IMMUTABLE) != 0; }

/* A version that takes the store over from `table`, which becomes its difference at a position. */
static Value next_version(Value table, uint32_t i, Value key, Value value) {
  Value store = TABLE(table)->store, next = make_table(FIX_VALUE(TABLE(table)->info), true, store);
  note_difference(table, next, i, key, value, key == V_UNBOUND ? 0 : HASHES(store)[i], S_NUMBER(store, S_COUNT));
  return next;
}

/* ---- finding ---- */

/* equal? where it can be told at once: the usual keys. */
static int keys_equal(enum table_kind kind, Value a, Value b, int effort) {
  if (a == b) return EQUAL_YES;
  if (IS_FIX(a) || IS_FIX(b) || TAG(a) < T_PAIR || TAG(b) < T_PAIR || IS(a, T_SYMBOL)) return EQUAL_NO;
  if (is_number(a)) return is_number(b) && num_eqv(a, b) ? EQUAL_YES : EQUAL_NO;
  if (kind == TABLE_EQ || kind == TABLE_EQV) return EQUAL_NO;
  if (IS(a, T_STRING)) {
    if (!IS(b, T_STRING)) return EQUAL_NO;
    if (STR_LENGTH(a) > LONG_PART) return equal_bounded(a, b, effort);
    charge(STR_LENGTH(a) >> 5);
    return string_equal(a, b) ? EQUAL_YES : EQUAL_NO;
  }
  return equal_bounded(a, b, effort);
}

/* While a primitive is called with a key that the prelude has looked up (%with-key-found): a key of a custom type
   is in the table itself, or none that is equal is. */
static bool key_is_found;

static int64_t find(Value table, Value key, uint32_t hash, int effort) {
  enum table_kind kind = TABLE_KIND(table);
  Value store = TABLE(table)->store;
  Index x = index_of(store);
  const uint32_t *hashes = HASHES(store);
  uint32_t tried = 0, passed = 0;
  bool custom = false;
  for (uint32_t place = hash & x.mask;; place = (place + 1) & x.mask) {
    uint32_t content = place_get(&x, place);
    if (!content) break;
    if (hashes[content - 1] != hash) { passed++; continue; }
    int equal = keys_equal(kind, ENTRY_KEY(store, content - 1), key, effort);
    if (is_difference(table)) reroot(table, V_FALSE);            /* a key may be a version of this table */
    if (equal == EQUAL_YES) {
      if (passed > 15) charge(passed / 16);
      return content - 1;
    }
    if (equal == EQUAL_DEEP) return TABLE_DEEP;
    if (equal == EQUAL_CUSTOM) custom = true;      /* the very key may come yet */
    tried++;
  }
  charge(1 + tried + passed / 16);
  return custom && !key_is_found ? TABLE_CUSTOM : TABLE_ABSENT;
}

/* The same for usual keys, in a store that is valid: those that are told by their word, and short strings. Where so many
   others are in the way, as where they were made to collide, the general way is charged for them. */
enum { NOT_QUICK = -4, QUICK_CHARS = 64, QUICK_TRIES = 16 };
enum { FEW_ENTRIES = 6 };               /* are compared one by one first: only a key that is none of them is hashed */
static inline int64_t find_plain(Value store, Value key, uint32_t hash) {
  Index x = index_of(store);
  for (uint32_t place = hash & x.mask, tried = 1; tried <= QUICK_TRIES; place = (place + 1) & x.mask, tried++) {
    uint32_t content = place_get(&x, place);
    if (!content) return charge(tried), TABLE_ABSENT;
    if (ENTRY_KEY(store, content - 1) == key) return content - 1;
  }
  return NOT_QUICK;
}
static inline bool is_text(Value key, Value string) {
  return key == string || (IS(key, T_STRING) && STR(key)->length == STR(string)->length && string_equal(key, string));
}
static int64_t find_text(Value store, Value string, uint32_t hash) {
  Index x = index_of(store);
  const uint32_t *hashes = HASHES(store);
  for (uint32_t place = hash & x.mask, tried = 1; tried <= QUICK_TRIES; place = (place + 1) & x.mask, tried++) {
    uint32_t content = place_get(&x, place);
    if (!content) return charge(tried), TABLE_ABSENT;
    if (hashes[content - 1] == hash && is_text(ENTRY_KEY(store, content - 1), string)) return content - 1;
  }
  return NOT_QUICK;
}
/* A string where symbols are the keys, and it stands for the one of its name: that need not be made where it is not there. */
static int64_t find_name(Value store, Value string, uint32_t hash) {
  Index x = index_of(store);
  const uint32_t *hashes = HASHES(store);
  for (uint32_t place = hash & x.mask, tried = 1; tried <= QUICK_TRIES; place = (place + 1) & x.mask, tried++) {
    uint32_t content = place_get(&x, place);
    if (!content) return charge(tried), TABLE_ABSENT;
    if (hashes[content - 1] != hash) continue;
    Value key = ENTRY_KEY(store, content - 1);
    if (IS(key, T_SYMBOL) && !(OBJ_FLAGS(key) & H_UNINTERNED) && string_equal(SYM(key)->name, string)) return content - 1;
  }
  return NOT_QUICK;
}
static inline int64_t find_quickly(Value table, Value key, uint32_t *hash) {
  Value store = TABLE(table)->store;
  if (!IS(store, T_VECTOR) || is_stale(store)) return NOT_QUICK;
  int64_t info = FIX_VALUE(TABLE(table)->info);
  enum table_kind kind = (enum table_kind)(info & 3);
  bool by_name = kind == TABLE_EQ || kind == TABLE_EQV, loose = (info & TABLE_LOOSE) != 0;
  if (is_plain(key)) {
    if (loose && !by_name && IS(key, T_SYMBOL)) return NOT_QUICK;
    for (uint32_t i = 0, used = S_NUMBER(store, S_USED); used <= FEW_ENTRIES && i < used; i++)
      if (ENTRY_KEY(store, i) == key) return i;
    return find_plain(store, key, *hash = plain_hash(key));
  }
  if (!IS(key, T_STRING) || STR_LENGTH(key) > QUICK_CHARS || (by_name && !loose)) return NOT_QUICK;
  *hash = text_hash(key);
  return by_name ? find_name(store, key, *hash) : find_text(store, key, *hash);
}

/* In a table that is loose a string stands for the symbol of its name, or the other way round. */
static inline Value true_key(Value table, Value key) {
  if (!(FIX_VALUE(TABLE(table)->info) & TABLE_LOOSE)) return key;
  if (TABLE_KIND(table) == TABLE_EQ) return IS(key, T_STRING) ? intern_string(key) : key;
  return IS(key, T_SYMBOL) ? SYM(key)->name : key;
}

int64_t table_find(Value table, Value key, int effort) {
  (void)store_of(table);
  key = true_key(table, key);
  return find(table, key, key_hash(TABLE_KIND(table), key), effort);
}

/* As find, but to the end however deep the keys are: V_TRUE with the position, V_FALSE, V_CUSTOM or V_AGAIN.
   The slow search goes by position, which stays the same while this primitive is resumed, and
   keeps (position . state of the comparison) in vm.resume. Of versions of this table that are keys the comparison takes the
   store away: then the search goes on when it is back. */
static Value find_deep(Value table, Value key, uint32_t hash, uint32_t *position) {
  uint32_t i = 0;
  bool custom = false;                             /* looked up again where this goes on: what is custom is so then, too */
  Value state = V_FALSE, store = TABLE(table)->store;
  if (is_pair(vm.resume)) {
    i = (uint32_t)FIX_VALUE(CAR(vm.resume));
    state = CDR(vm.resume);
  }
  for (; i < S_NUMBER(store, S_USED); i++, state = V_FALSE) {
    Value candidate = ENTRY_KEY(store, i);
    if (candidate == V_UNBOUND || HASHES(store)[i] != hash) continue;
    int quick = state == V_FALSE ? keys_equal(TABLE_KIND(table), candidate, key, EQUAL_EFFORT) : EQUAL_DEEP;
    if (quick == EQUAL_CUSTOM) custom = true;
    if (quick == EQUAL_NO || quick == EQUAL_CUSTOM) continue;
    Value equal = quick == EQUAL_YES || state == V_TRUE ? V_TRUE : equal_run(candidate, key, &state);
    if (equal == V_AGAIN) {
      vm.resume = cons(FIX(i), state);
      return equal;
    }
    if (equal == V_CUSTOM) (void)entries_of(table);
    if (is_difference(table)) {
      vm.resume = equal == V_TRUE ? cons(FIX(i), V_TRUE) : cons(FIX(i + 1), V_FALSE);
      return V_AGAIN;
    }
    if (equal == V_TRUE) *position = i;
    if (equal == V_CUSTOM) custom = true;
    else if (equal != V_FALSE) return equal;
  }
  return custom && !key_is_found ? V_CUSTOM : V_FALSE;
}

/* Where the key is, for a primitive: V_TRUE (and the position), V_FALSE, V_CUSTOM or V_AGAIN. */
static Value locate(Value table, Value key, uint32_t hash, uint32_t *position) {
  if (make_valid(table) != V_TRUE) return V_AGAIN;
  int64_t found = find(table, key, hash, EQUAL_EFFORT);
  if (found == TABLE_CUSTOM) return V_CUSTOM;
  if (found == TABLE_DEEP) return find_deep(table, key, hash, position);
  if (found == TABLE_ABSENT) return V_FALSE;
  *position = (uint32_t)found;
  return V_TRUE;
}

/* ---- adding ---- */

static bool is_full(Value store) { return S_NUMBER(store, S_USED) == CAPACITY(store); }

/* How many entries to make room for in the place of a full store: with many gaps the same size
   will do. */
static uint32_t grown(Value store) {
  uint32_t count = S_NUMBER(store, S_COUNT);
  return count < CAPACITY(store) / 2 ? CAPACITY(store) : count + count / 2 + 5;
}

/* For a store that is full: V_TRUE where a larger one stands ready, or V_AGAIN, where memory is short or the
   slice is over. The larger one is made and filled piece by piece, kept in S_WORK as (store . position); whatever changes
   an entry meanwhile drops it. */
static Value grow(Value store) {
  Value work = S(store, S_WORK);
  if (!is_pair(work)) {
    bool under_way = IS(work, T_VECTOR) && VEC_LENGTH(work) == MADE_SIZE;
    uint64_t bytes = table_bytes(grown(store));
    if (!under_way && !heap_reserve(bytes)) return need_memory(bytes);
    Value larger;
    if (grown(store) <= SHORT) {
      larger = make_store(grown(store));
    } else {
      if (!under_way) {
        work = S(store, S_WORK) = make_vector(MADE_SIZE, V_FALSE);
        VEC(work)[MADE_AT] = FIX(0);
      }
      if (make_large_store(grown(store), work) != V_TRUE) return V_AGAIN;
      larger = VEC(work)[MADE_STORE];
    }
    work = S(store, S_WORK) = cons(larger, FIX(0));
  }
  if (FIX_VALUE(CDR(work)) < (int64_t)S_NUMBER(store, S_USED))
    CDR(work) = FIX(copy_entries(CAR(work), store, (uint32_t)FIX_VALUE(CDR(work)), true, CLOSE_GAPS));
  return FIX_VALUE(CDR(work)) < (int64_t)S_NUMBER(store, S_USED) ? V_AGAIN : V_TRUE;
}

/* The larger store, ready or made at once. Its hashes are those of the time when it was begun. */
static Value grown_store(Value store) {
  Value work = S(store, S_WORK);
  if (!is_pair(work) || FIX_VALUE(CDR(work)) < (int64_t)S_NUMBER(store, S_USED)) return store_copy(store, grown(store));
  S(store, S_WORK) = V_FALSE;
  return CAR(work);
}

/* Adds an entry whose key is not there. The caller has reserved where the store is full. */
static Value add_mutable(Value table, Value key, Value value, uint32_t hash) {
  enum table_kind kind = TABLE_KIND(table);
  Value store = TABLE(table)->store;
  if (is_full(store)) store = TABLE(table)->store = grown_store(store);
  store_append(kind, store, key, value, hash);
  return table;
}

static Value add_version(Value table, Value key, Value value, uint32_t hash) {
  enum table_kind kind = TABLE_KIND(table);
  Value store = TABLE(table)->store, next;
  if (is_full(store)) {
    store = grown_store(store);
    next = make_table(FIX_VALUE(TABLE(table)->info), true, store);
  } else {
    next = next_version(table, S_NUMBER(store, S_USED), V_UNBOUND, V_FALSE);
  }
  store_append(kind, store, key, value, hash);
  return next;
}

static Value set_version(Value table, uint32_t i, Value value) {
  Value store = TABLE(table)->store, old = ENTRY_VALUE(store, i);
  if (old == value) return table;
  Value next = next_version(table, i, ENTRY_KEY(store, i), old);
  touch(store);
  ENTRY_VALUE(store, i) = value;
  return next;
}

/* What was looked up last is mostly what is set next: (hash-set! t k (+ 1 (hash-ref t k 0))). Its position is no more than
   a guess: the key that stands there decides. */
enum { NO_GUESS = UINT32_MAX, GUESSED_CHARS = 64 };
static uint32_t guess = NO_GUESS;
static bool is_guessed(Value table, Value key) {
  Value store = TABLE(table)->store;
  if (guess >= S_NUMBER(store, S_USED)) return false;
  Value there = ENTRY_KEY(store, guess);
  if (there == key) return true;
  return TABLE_KIND(table) == TABLE_EQUAL && IS(key, T_STRING) && IS(there, T_STRING) &&
         STR_LENGTH(key) <= GUESSED_CHARS && string_equal(there, key);
}

/* The table with the entry: itself where it is mutable, a version of it where not; or V_AGAIN, with its progress in
   vm.resume (false, find_deep's, or true). */
static Value table_put(Value table, Value key, Value value) {
  uint32_t position = 0, hash;
  key = true_key(table, key);
  bool immutable = is_immutable(table);
  if (guess != NO_GUESS) {
    bool found = !immutable && vm.resume == V_FALSE && is_guessed(table, key);
    uint32_t i = guess;
    guess = NO_GUESS;
    if (found) {
      touch(TABLE(table)->store);
      ENTRY_VALUE(TABLE(table)->store, i) = value;
      charge(1);
      return table;
    }
  }
  Value found = V_FALSE;
  int64_t quick = vm.resume == V_FALSE ? find_quickly(table, key, &hash) : NOT_QUICK;
  if (quick != NOT_QUICK) {
    found = BOOL(quick >= 0);
    position = (uint32_t)quick;
  } else {
    hash = key_hash(TABLE_KIND(table), key);
    /* known to be absent, and the larger store was being filled: nobody else ran meanwhile */
    if (vm.resume != V_TRUE) found = locate(table, key, hash, &position);
    if (IS_SIGNAL(found)) return found;
  }
  Value store = TABLE(table)->store;
  if (found == V_TRUE) {
    if (immutable) return set_version(table, position, value);
    touch(store);
    ENTRY_VALUE(store, position) = value;
    return table;
  }
  if (is_full(store) && grow(store) != V_TRUE) {
    vm.resume = V_TRUE;
    return V_AGAIN;
  }
  return immutable ? add_version(table, key, value, hash) : add_mutable(table, key, value, hash);
}

static Value table_drop(Value table, Value key) {
  uint32_t i = 0;
  key = true_key(table, key);
  Value found = locate(table, key, key_hash(TABLE_KIND(table), key), &i);
  if (found == V_FALSE) return table;
  if (IS_SIGNAL(found)) return found;
  Value store = TABLE(table)->store;
  if (is_immutable(table)) table = next_version(table, i, ENTRY_KEY(store, i), ENTRY_VALUE(store, i));
  store_remove(store, i);
  return table;
}

/* ---- for the other files ---- */

Value table_make_sized(enum table_kind kind, bool immutable, uint32_t entries) {
  return make_table(kind, immutable, make_store(entries));
}
Value table_make(enum table_kind kind, bool immutable) { return table_make_sized(kind, immutable, 0); }
void table_set_loose(Value table) { TABLE(table)->info = FIX(FIX_VALUE(TABLE(table)->info) | TABLE_LOOSE); }
bool table_is_loose(Value table) { return (FIX_VALUE(TABLE(table)->info) & TABLE_LOOSE) != 0; }

bool table_room(Value table) {
  Value store = store_of(table);
  return !is_full(store) || heap_reserve(table_bytes(grown(store)));
}

bool table_ready(Value table) {
  Value store = entries_of(table);
  if (is_full(store)) {
    if (grow(store) != V_TRUE) return false;
    TABLE(table)->store = grown_store(store);
  }
  return make_valid(table) == V_TRUE;
}

Value table_wait(Value table) {
  Value store = TABLE(table)->store;
  if (vm.need_bytes || S(store, S_WORK) != V_FALSE) return V_AGAIN;
  return need_memory(table_bytes(2 * S_NUMBER(store, S_COUNT)));
}

/* Keys that take so long to compare count as different here; the primitives look to the end. */
#define C_EFFORT 100000

Value table_get(Value table, Value key, Value otherwise) {
  int64_t i = table_find(table, key, C_EFFORT);
  return i < 0 ? otherwise : ENTRY_VALUE(TABLE(table)->store, i);
}

void table_set(Value table, Value key, Value value) {
  Value store = store_of(table);
  uint32_t hash = key_hash(TABLE_KIND(table), key);
  int64_t i = find(table, key, hash, C_EFFORT);
  if (i >= 0) { touch(store); ENTRY_VALUE(store, i) = value; }
  else add_mutable(table, key, value, hash);
}

/* The key is a symbol: its hash stays, and no other entry can have become one of it. */
void table_append_like(Value table, Value model, uint32_t position, Value value) {
  Value store = TABLE(table)->store, like = TABLE(model)->store;
  uint32_t i = S_NUMBER(store, S_USED), hash = HASHES(like)[position];
  CHECK(i < CAPACITY(store) && IS(ENTRY_KEY(like, position), T_SYMBOL));
  ENTRY_KEY(store, i) = ENTRY_KEY(like, position);
  ENTRY_VALUE(store, i) = value;
  HASHES(store)[i] = hash;
  S(store, S_USED) = FIX(i + 1);
  S(store, S_COUNT) += 2;
  Index x = index_of(store);
  insert_in(&x, hash, i);
}

bool table_remove(Value table, Value key) {
  int64_t i = table_find(table, key, C_EFFORT);
  if (i >= 0) store_remove(TABLE(table)->store, (uint32_t)i);
  return i >= 0;
}

uint32_t table_count(Value table) {
  if (is_difference(table)) return (uint32_t)(FIX_VALUE(TABLE(table)->info) >> TABLE_FLAG_BITS);
  return S_NUMBER(TABLE(table)->store, S_COUNT);
}

int64_t table_next_position(Value table, uint32_t position) {
  Value store = entries_of(table);
  uint32_t used = S_NUMBER(store, S_USED);
  while (position < used && ENTRY_KEY(store, position) == V_UNBOUND) position++;
  return position < used ? (int64_t)position : -1;
}

void table_entry(Value table, uint32_t position, Value *key, Value *value) {
  Value store = entries_of(table);
  CHECK(position < S_NUMBER(store, S_USED));
  *key = ENTRY_KEY(store, position);
  *value = ENTRY_VALUE(store, position);
}

void table_patch(Value table, uint32_t position, Value value) {
  Value store = entries_of(table);
  touch(store);
  ENTRY_VALUE(store, position) = value;
}

bool table_next(Value table, uint32_t *position, Value *key, Value *value) {
  Value store = entries_of(table);
  uint32_t used = S_NUMBER(store, S_USED), at = *position;
  while (at < used && ENTRY_KEY(store, at) == V_UNBOUND) at++;
  if (at >= used) return false;
  *key = ENTRY_KEY(store, at);
  *value = ENTRY_VALUE(store, at);
  *position = at + 1;
  return true;
}

/* ---- primitives ---- */

#define CHECK_TABLE(i) do { if (!IS(args[i], T_TABLE)) return err_type(NULL, i, "hash", args[i]); } while (0)
#define BRING(table) do { if (bring(table, false) != V_TRUE) return V_AGAIN; } while (0)
#define CHECK_MUTABLE(i) do { \
    if (!IS(args[i], T_TABLE) || is_immutable(args[i])) return err_type(NULL, i, "mutable hash", args[i]); } while (0)
#define CHECK_IMMUTABLE(i) do { \
    if (!IS(args[i], T_TABLE) || !is_immutable(args[i])) return err_type(NULL, i, "immutable hash", args[i]); } while (0)

static Value prim_is_hash(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_TABLE)); }

static Value prim_is_mutable_hash(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_TABLE) && !is_immutable(args[0])); }

static Value is_of_kind(Value *args, enum table_kind kind) {
  CHECK_TABLE(0);
  return BOOL(TABLE_KIND(args[0]) == kind);
}
static Value prim_is_hash_equal(int argc, Value *args) { (void)argc; return is_of_kind(args, TABLE_EQUAL); }
static Value prim_is_hash_eqv(int argc, Value *args) { (void)argc; return is_of_kind(args, TABLE_EQV); }
static Value prim_is_hash_eq(int argc, Value *args) { (void)argc; return is_of_kind(args, TABLE_EQ); }

static Value prim_hash_kind(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  return FIX(TABLE_KIND(args[0]));
}

static Value prim_make_hash_kind(int argc, Value *args) {
  uint32_t kind;
  CHECK_INDEX(NULL, 0, 0, TABLE_STRING, V_FALSE, kind);
  return table_make((enum table_kind)kind, TRUTH(ARG_OR(1, V_FALSE)));
}

/* Filling a fresh table from a list may take several goes: vm.resume keeps #(table rest state)
   where the state is find_deep's. */
static void load_progress(Value *table, Value *rest) {
  if (!IS(vm.resume, T_VECTOR)) return;
  Value progress = vm.resume;
  *table = VEC(progress)[0];
  *rest = VEC(progress)[1];
  vm.resume = VEC(progress)[2];
}
static Value save_progress(Value table, Value rest, Value state) {
  Value progress = make_vector(3, state);
  VEC(progress)[0] = table;
  VEC(progress)[1] = rest;
  vm.resume = progress;
  return V_AGAIN;
}

static Value from_alist(int argc, Value *args, enum table_kind kind, bool immutable) {
  Value table = V_FALSE, rest = ARG_OR(0, V_NIL);
  load_progress(&table, &rest);
  if (table == V_FALSE) table = table_make(kind, false);
  for (uint32_t n = 1; is_pair(rest); n++) {
    if (!is_pair(CAR(rest))) return err_type(NULL, 0, "list of pairs", args[0]);
    Value put = table_put(table, CAR(CAR(rest)), CDR(CAR(rest)));
    if (put == V_CUSTOM) return put;               /* the prelude begins anew */
    if (IS_SIGNAL(put)) return save_progress(table, rest, vm.resume);
    vm.resume = V_FALSE;
    rest = CDR(rest);
    charge(2);
    if (n % ROUND == 0 && should_pause()) return save_progress(table, rest, V_FALSE);
  }
  if (rest != V_NIL) return err_type(NULL, 0, "list of pairs", args[0]);
  if (immutable) SET_FLAG(table, H_IMMUTABLE);
  return table;
}

static Value prim_make_hash(int argc, Value *args) { return from_alist(argc, args, TABLE_EQUAL, false); }
static Value prim_make_hasheqv(int argc, Value *args) { return from_alist(argc, args, TABLE_EQV, false); }
static Value prim_make_hasheq(int argc, Value *args) { return from_alist(argc, args, TABLE_EQ, false); }
static Value prim_make_immutable_hash(int argc, Value *args) { return from_alist(argc, args, TABLE_EQUAL, true); }
static Value prim_make_immutable_hasheqv(int argc, Value *args) { return from_alist(argc, args, TABLE_EQV, true); }
static Value prim_make_immutable_hasheq(int argc, Value *args) { return from_alist(argc, args, TABLE_EQ, true); }

/* Puts (key value ...) arguments from `first` on into a table, whose every state goes to
   save_progress. */
static Value put_arguments(int argc, Value *args, int first, Value table) {
  Value at = FIX(first);
  load_progress(&table, &at);
  for (int64_t i = FIX_VALUE(at); i < argc; i += 2) {
    Value next = table_put(table, args[i], args[i + 1]);
    if (next == V_CUSTOM) return next;
    if (IS_SIGNAL(next)) return save_progress(table, FIX(i), vm.resume);
    vm.resume = V_FALSE;
    table = next;
    charge(2);
    if (i % ROUND >= ROUND - 2 && should_pause()) return save_progress(table, FIX(i + 2), V_FALSE);
  }
  return table;
}

static Value from_arguments(int argc, Value *args, enum table_kind kind) {
  if (argc % 2)
    return err_failf("exn:fail:contract", "hash: key does not have a value (i.e., an odd number of arguments were provided)\n  key: %S",
                     error_shown(args[argc - 1]));
  uint32_t entries = argc / 2 < 64 ? (uint32_t)argc / 2 : 64;           /* the rest are added as always */
  Value table = put_arguments(argc, args, 0, IS(vm.resume, T_VECTOR) ? V_FALSE : table_make_sized(kind, false, entries));
  if (!IS_SIGNAL(table)) SET_FLAG(table, H_IMMUTABLE);
  return table;
}
static Value prim_hash(int argc, Value *args) { return from_arguments(argc, args, TABLE_EQUAL); }
static Value prim_hasheqv(int argc, Value *args) { return from_arguments(argc, args, TABLE_EQV); }
static Value prim_hasheq(int argc, Value *args) { return from_arguments(argc, args, TABLE_EQ); }

/* V_TRUE with the position, V_FALSE or V_AGAIN. */
static inline Value locate_argument(Value *args, uint32_t *position) {
  if (vm.resume == V_FALSE) {
    uint32_t hash;
    int64_t quick = find_quickly(args[0], args[1], &hash);
    if (quick >= 0) {
      guess = *position = (uint32_t)quick;
      return V_TRUE;
    }
    if (quick == TABLE_ABSENT) return V_FALSE;
  }
  Value key = true_key(args[0], args[1]), found = locate(args[0], key, key_hash(TABLE_KIND(args[0]), key), position);
  if (found == V_TRUE) guess = *position;
  return found;
}

/* A key that is not there: has the table its twin? The first key tells of which kind the keys are, so that tables of
   one kind cost nothing. */
static void note_twin(Value table, Value key, bool by_default) {
  int64_t info = FIX_VALUE(TABLE(table)->info);
  if (info & TABLE_LOOSE || !(IS(key, T_STRING) || IS(key, T_SYMBOL))) return;
  uint32_t position = 0;
  Value first, value;
  if (!table_next(table, &position, &first, &value) || TAG(first) == TAG(key)) return;
  if (!IS(first, T_STRING) && !IS(first, T_SYMBOL)) return;
  if (IS(key, T_STRING) && STR_LENGTH(key) > 100) return;       /* no name of anything */
  Value other = IS(key, T_STRING) ? intern_string(key) : SYM(key)->name;
  if (table_find(table, other, EQUAL_EFFORT) >= 0) note_slip(SLIP_KEY_KIND, key, BOOL(!by_default));
}

/* Has an object of JSON's the key in other capitals? (Tables of the program's own may count words.) */
static Value name_of_key(Value key) { return IS(key, T_SYMBOL) ? SYM(key)->name : IS(key, T_STRING) ? key : V_FALSE; }
static uint32_t small_letter(uint32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static bool same_but_capitals(Value a, Value b) {
  if (b == V_FALSE || STR_LENGTH(a) != STR_LENGTH(b)) return false;
  for (uint32_t i = 0; i < STR_LENGTH(a); i++)
    if (small_letter(string_char(a, i)) != small_letter(string_char(b, i))) return false;
  return true;
}
static void note_capitals(Value table, Value key) {
  enum { MOST_KEYS = 32, LONGEST_NAME = 60 };
  Value name = name_of_key(key), other, value;
  uint32_t position = 0;
  if (name == V_FALSE || table_count(table) > MOST_KEYS || STR_LENGTH(name) > LONGEST_NAME || !STR_LENGTH(name)) return;
  while (table_next(table, &position, &other, &value))
    if (same_but_capitals(name, name_of_key(other)) && !string_equal(name, name_of_key(other)))
      note_slip(SLIP_KEY_CASE, key, other);
}

/* The same of one for which the default is taken. */
static void note_missing(Value table, Value key) {
  if (FIX_VALUE(TABLE(table)->info) & TABLE_CLOSED) note_slip(SLIP_KEY_UNKNOWN, key, table);
  else if (FIX_VALUE(TABLE(table)->info) & TABLE_LOOSE) note_capitals(table, key);
  note_twin(table, key, true);
}
static Value prim_note_missing(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  BRING(args[0]);
  note_twin(args[0], args[1], false);
  return V_VOID;
}

/* (%close-table! table): see TABLE_CLOSED and TABLE_LOOSE */
static Value prim_close_table(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  TABLE(args[0])->info = FIX(FIX_VALUE(TABLE(args[0])->info) | TABLE_CLOSED | TABLE_LOOSE);
  return args[0];
}

static Value prim_hash_ref(int argc, Value *args) {
  CHECK_TABLE(0);
  uint32_t i = 0;
  Value found = locate_argument(args, &i);
  if (IS_SIGNAL(found)) return found;
  if (found == V_TRUE) return ENTRY_VALUE(TABLE(args[0])->store, i);
  if (!HAS_ARG(2)) {
    err_failf("exn:fail:contract", "hash-ref: no value found for key\n  key: %S", error_shown(args[1]));
    error_irritants(list_n(2, args[1], args[0]));      /* the prelude looks for near misses */
    return V_ERROR;
  }
  note_missing(args[0], args[1]);
  return is_procedure(args[2]) ? tail_call(args[2], 0) : args[2];
}

static Value prim_hash_ref_plain(int argc, Value *args) {
  CHECK_TABLE(0);
  uint32_t i = 0;
  Value found = locate_argument(args, &i);
  if (IS_SIGNAL(found)) return found;
  return found == V_TRUE ? ENTRY_VALUE(TABLE(args[0])->store, i) : ARG_OR(2, V_FALSE);
}

static Value prim_hash_has_key(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  uint32_t i;
  Value found = locate_argument(args, &i);
  if (found == V_FALSE) note_twin(args[0], args[1], false);
  return found;
}

static Value prim_hash_entry(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  uint32_t i = 0;
  Value found = locate_argument(args, &i);
  return found == V_TRUE ? FIX(i) : found;
}

/* (hash-update! table key f [default]), (hash-update ...): usual keys that are there, or get a default that is no procedure.
   Adding or taking one is done at once; another f is called by the prelude, between the two halves. */
static bool counted(Value f, Value *value) {
  static Value add_one = V_FALSE, take_one = V_FALSE;
  if (add_one == V_FALSE) {
    add_one = MAKE(T_PRIM, prim_index("add1"));
    take_one = MAKE(T_PRIM, prim_index("sub1"));
  }
  if ((f != add_one && f != take_one) || !IS_FIX(*value)) return false;
  int64_t n = FIX_VALUE(*value) + (f == add_one ? 1 : -1);
  *value = FIX(n);
  return FITS_FIX(n);
}
static Value updated(int argc, Value *args, InPrelude *otherwise, InPrelude *put) {
  Value table = args[0], key = args[1];
  uint32_t hash;
  /* the table grows, and the key is known to be absent: as when this was begun */
  int64_t at = vm.resume == V_FALSE ? find_quickly(table, key, &hash) : TABLE_ABSENT;
  if (at == NOT_QUICK || (at == TABLE_ABSENT && (argc < 4 || is_procedure(args[3])))) return leave_to(otherwise, argc, args);
  Value value = at >= 0 ? ENTRY_VALUE(TABLE(table)->store, at) : args[3];
  if (at >= 0) guess = (uint32_t)at;
  else if (vm.resume == V_FALSE) note_twin(table, key, false);
  Value changed = value;
  if (counted(args[2], &changed)) return table_put(table, key, changed);
  Value four[4] = {table, key, args[2], value};
  return leave_to(put, 4, four);
}
static Value prim_hash_update_mutable(int argc, Value *args) {
  static InPrelude otherwise = {"%hash-update!-otherwise", V_FALSE}, put = {"%hash-put-updated!", V_FALSE};
  if (!IS(args[0], T_TABLE) || is_immutable(args[0])) return leave_to(&otherwise, argc, args);
  Value table = updated(argc, args, &otherwise, &put);
  return IS_SIGNAL(table) ? table : V_VOID;
}
static Value prim_hash_update(int argc, Value *args) {
  static InPrelude otherwise = {"%hash-update-otherwise", V_FALSE}, put = {"%hash-put-updated", V_FALSE};
  if (!IS(args[0], T_TABLE) || !is_immutable(args[0])) return leave_to(&otherwise, argc, args);
  return updated(argc, args, &otherwise, &put);
}

static Value prim_hash_set_mutable(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE(0);
  Value table = table_put(args[0], args[1], args[2]);
  return IS_SIGNAL(table) ? table : V_VOID;
}

static Value prim_hash_set(int argc, Value *args) {
  (void)argc;
  CHECK_IMMUTABLE(0);
  return table_put(args[0], args[1], args[2]);
}

static Value prim_hash_remove_mutable(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE(0);
  Value table = table_drop(args[0], args[1]);
  return IS_SIGNAL(table) ? table : V_VOID;
}

static Value prim_hash_remove(int argc, Value *args) {
  (void)argc;
  CHECK_IMMUTABLE(0);
  return table_drop(args[0], args[1]);
}

static Value odd_arguments(const char *who, Value key) {
  return err_failf("exn:fail:contract", "%s: key does not have a value (i.e., an odd number of arguments were provided)\n  key: %S",
                   who, error_shown(key));
}

static Value prim_hash_set_many(int argc, Value *args) {
  CHECK_IMMUTABLE(0);
  return argc % 2 ? put_arguments(argc, args, 1, args[0]) : odd_arguments("hash-set*", args[argc - 1]);
}

static Value prim_hash_set_many_mutable(int argc, Value *args) {
  CHECK_MUTABLE(0);
  if (argc % 2 == 0) return odd_arguments("hash-set*!", args[argc - 1]);
  Value table = put_arguments(argc, args, 1, args[0]);
  return IS_SIGNAL(table) ? table : V_VOID;
}

static Value prim_hash_count(int argc, Value *args) { (void)argc; CHECK_TABLE(0); return FIX(table_count(args[0])); }
static Value prim_is_hash_empty(int argc, Value *args) { (void)argc; CHECK_TABLE(0); return BOOL(table_count(args[0]) == 0); }

enum listed { LIST_KEYS, LIST_VALUES, LIST_ENTRIES };
static Value list_entries(Value *args, enum listed what) {
  CHECK_TABLE(0);
  BRING(args[0]);
  Value store = entries_of(args[0]), list = V_NIL, *kept = progress();
  uint32_t i = S_NUMBER(store, S_USED);
  if (kept) { list = kept[0]; i = (uint32_t)FIX_VALUE(kept[1]); }
  uint64_t bytes = (what == LIST_ENTRIES ? 32ull : 16ull) * i;
  if (!reserve_small(bytes)) { pause_keeping(2, list, FIX(i)); return need_memory(2 * bytes); }
  for (uint32_t n = 1; i-- > 0; n++) {
    Value key = ENTRY_KEY(store, i), value = ENTRY_VALUE(store, i);
    if (key != V_UNBOUND) list = cons(what == LIST_KEYS ? key : what == LIST_VALUES ? value : cons(key, value), list);
    if (n % PIECE == 0 && (charge(PIECE / 2), should_pause())) return pause_keeping(2, list, FIX(i));
  }
  charge(S_NUMBER(store, S_USED) % PIECE / 2);
  return list;
}
static Value prim_hash_keys(int argc, Value *args) { (void)argc; return list_entries(args, LIST_KEYS); }
static Value prim_hash_values(int argc, Value *args) { (void)argc; return list_entries(args, LIST_VALUES); }
static Value prim_hash_to_list(int argc, Value *args) { (void)argc; return list_entries(args, LIST_ENTRIES); }

static Value prim_hash_clear_mutable(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE(0);
  TABLE(args[0])->store = make_store(0);
  return V_VOID;
}

static Value cleared(Value table, bool immutable) {
  return make_table(FIX_VALUE(TABLE(table)->info) & TABLE_FLAGS, immutable, make_store(0));
}
static Value prim_hash_clear(int argc, Value *args) {
  (void)argc;
  CHECK_IMMUTABLE(0);
  return table_count(args[0]) ? cleared(args[0], true) : args[0];
}
static Value prim_hash_copy_clear(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  return cleared(args[0], is_immutable(args[0]));
}

static Value copied(Value table, bool immutable) {
  if (immutable && is_immutable(table)) return table;
  BRING(table);
  Value store = entries_of(table), copy, *kept = progress();
  uint32_t count = S_NUMBER(store, S_COUNT), i = 0;
  if (kept && VEC_LENGTH(vm.resume) == 2) {              /* the copy, and how far it has come */
    copy = kept[0];
    i = (uint32_t)FIX_VALUE(kept[1]);
  } else {
    if (!kept && !heap_reserve(table_bytes(count))) return need_memory(table_bytes(count));
    if (count <= SHORT) {
      copy = make_store(count);
    } else {
      Value made = kept ? vm.resume : make_vector(MADE_SIZE, V_FALSE);
      if (!kept) VEC(made)[MADE_AT] = FIX(0);
      vm.resume = made;
      if (make_large_store(count, made) != V_TRUE) return V_AGAIN;
      copy = VEC(made)[MADE_STORE];
    }
  }
  i = copy_entries(copy, store, i, true, CLOSE_GAPS);
  if (i < S_NUMBER(store, S_USED)) return pause_keeping(2, copy, FIX(i));
  return make_table(FIX_VALUE(TABLE(table)->info), immutable, copy);
}
static Value prim_hash_copy(int argc, Value *args) { (void)argc; CHECK_TABLE(0); return copied(args[0], false); }
static Value prim_hash_copy_as(int argc, Value *args) { (void)argc; CHECK_TABLE(0); return copied(args[0], TRUTH(args[1])); }
static Value prim_hash_immutable(int argc, Value *args) { (void)argc; CHECK_TABLE(0); return copied(args[0], true); }

/* ---- walking by position ---- */

static Value prim_hash_next(int argc, Value *args) {
  (void)argc;
  uint32_t from;
  CHECK_TABLE(0);
  CHECK_INDEX(NULL, 1, 0, 0xffffffff, args[0], from);
  BRING(args[0]);
  int64_t at = table_next_position(args[0], from);
  return at < 0 ? V_FALSE : FIX(at);
}

/* The live entry at a position given by the guest, or false. */
static bool entry_argument(Value *args, Value *store, int64_t *i) {
  *store = entries_of(args[0]);
  *i = FIX_VALUE(args[1]);
  return *i >= 0 && *i < (int64_t)S_NUMBER(*store, S_USED) && ENTRY_KEY(*store, *i) != V_UNBOUND;
}
static Value prim_hash_key(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  CHECK_FIX(NULL, 1);
  BRING(args[0]);
  Value store;
  int64_t i;
  return entry_argument(args, &store, &i) ? ENTRY_KEY(store, i) : V_FALSE;
}
static Value prim_hash_value(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  CHECK_FIX(NULL, 1);
  BRING(args[0]);
  Value store;
  int64_t i;
  return entry_argument(args, &store, &i) ? ENTRY_VALUE(store, i) : V_FALSE;
}

/* ---- several tables ---- */

/* Are the keys of a all in b? */
static Value prim_hash_keys_subset(int argc, Value *args) {
  (void)argc;
  CHECK_TABLE(0);
  CHECK_TABLE(1);
  Value unused = V_FALSE, at = FIX(0), key, value;
  load_progress(&unused, &at);
  uint32_t position = (uint32_t)FIX_VALUE(at), before = position, found;
  for (uint32_t n = 1;; n++, before = position) {
    if (table_bring_both(args[0], args[1]) != V_TRUE) return save_progress(V_FALSE, FIX(before), vm.resume);
    if (!table_next(args[0], &position, &key, &value)) break;
    Value sought = true_key(args[1], key);
    Value in = locate(args[1], sought, key_hash(TABLE_KIND(args[1]), sought), &found);
    if (in == V_FALSE || in == V_CUSTOM) return in;
    if (IS_SIGNAL(in)) return save_progress(V_FALSE, FIX(before), vm.resume);
    vm.resume = V_FALSE;
    charge(2);
    if (n % ROUND == 0 && should_pause()) return save_progress(V_FALSE, FIX(position), V_FALSE);
  }
  return V_TRUE;
}

/* (%with-key-found primitive argument ...): the primitive on a table, whose key the prelude has looked up */
static Value prim_with_key_found(int argc, Value *args) {
  if (!IS(args[0], T_PRIM)) return err_type(NULL, 0, "primitive", args[0]);
  key_is_found = true;
  Value result = prim_table[PAYLOAD(args[0])]->fn(argc - 1, args + 1);
  key_is_found = false;
  return result;
}

/* ---- hash codes ---- */

/* Objects that only their address tells apart get a number when first asked for: addresses change. */
static Value identities;
static Value identity_code(Value object) {
  if (!identities) {
    identities = table_make(TABLE_EQ, false);
    heap_root(&identities);
  }
  if (make_valid(identities) != V_TRUE) return V_AGAIN;
  Value code = table_get(identities, object, V_FALSE);
  if (code != V_FALSE) return code;
  if (!table_ready(identities)) return table_wait(identities);
  code = FIX(table_count(identities) + 1);
  table_set(identities, object, code);
  return code;
}

static Value hash_code(enum table_kind kind, Value v) {
  if (by_address(kind, v)) return identity_code(v);
  return FIX(key_hash(kind, v));
}
static Value prim_equal_hash_code(int argc, Value *args) { (void)argc; return hash_code(TABLE_EQUAL, args[0]); }
static Value prim_eqv_hash_code(int argc, Value *args) { (void)argc; return hash_code(TABLE_EQV, args[0]); }

const PrimDef table_prims[] = {
  {"hash?", prim_is_hash, 1, 1, "(hash? obj)"},
  {"%mutable-hash?", prim_is_mutable_hash, 1, 1, NULL},
  {"hash-equal?", prim_is_hash_equal, 1, 1, "(hash-equal? hash)"},
  {"hash-eqv?", prim_is_hash_eqv, 1, 1, "(hash-eqv? hash)"},
  {"hash-eq?", prim_is_hash_eq, 1, 1, "(hash-eq? hash)"},
  {"%hash-kind", prim_hash_kind, 1, 1, "(%hash-kind hash)"},
  {"%make-hash", prim_make_hash_kind, 1, 2, "(%make-hash kind [immutable?])"},
  {"make-hash", prim_make_hash, 0, 1, "(make-hash [alist])"},
  {"make-hasheqv", prim_make_hasheqv, 0, 1, "(make-hasheqv [alist])"},
  {"make-hasheq", prim_make_hasheq, 0, 1, "(make-hasheq [alist])"},
  {"make-immutable-hash", prim_make_immutable_hash, 0, 1, "(make-immutable-hash [alist])"},
  {"make-immutable-hasheqv", prim_make_immutable_hasheqv, 0, 1, "(make-immutable-hasheqv [alist])"},
  {"make-immutable-hasheq", prim_make_immutable_hasheq, 0, 1, "(make-immutable-hasheq [alist])"},
  {"hash", prim_hash, 0, -1, "(hash key value ...)"},
  {"hasheqv", prim_hasheqv, 0, -1, "(hasheqv key value ...)"},
  {"hasheq", prim_hasheq, 0, -1, "(hasheq key value ...)"},
  {"%close-table!", prim_close_table, 1, 1, NULL},
  {"hash-ref", prim_hash_ref, 2, 3, "(hash-ref hash key [failure])"},
  {"%hash-ref", prim_hash_ref_plain, 2, 3, "(%hash-ref hash key [default])"},
  {"%note-missing!", prim_note_missing, 2, 2, NULL},
  {"hash-has-key?", prim_hash_has_key, 2, 2, "(hash-has-key? hash key)"},
  {"%hash-entry", prim_hash_entry, 2, 2, "(%hash-entry hash key)"},
  {"hash-update!", prim_hash_update_mutable, 3, 4, "(hash-update! hash key procedure [default])"},
  {"hash-update", prim_hash_update, 3, 4, "(hash-update hash key procedure [default])"},
  {"hash-set!", prim_hash_set_mutable, 3, 3, "(hash-set! hash key value)"},
  {"hash-set", prim_hash_set, 3, 3, "(hash-set hash key value)"},
  {"hash-set*", prim_hash_set_many, 1, -1, "(hash-set* hash key value ...)"},
  {"hash-set*!", prim_hash_set_many_mutable, 1, -1, "(hash-set*! hash key value ...)"},
  {"hash-remove!", prim_hash_remove_mutable, 2, 2, "(hash-remove! hash key)"},
  {"hash-remove", prim_hash_remove, 2, 2, "(hash-remove hash key)"},
  {"hash-count", prim_hash_count, 1, 1, "(hash-count hash)"},
  {"hash-empty?", prim_is_hash_empty, 1, 1, "(hash-empty? hash)"},
  {"hash-keys", prim_hash_keys, 1, 2, "(hash-keys hash)"},
  {"hash-values", prim_hash_values, 1, 2, "(hash-values hash)"},
  {"hash->list", prim_hash_to_list, 1, 2, "(hash->list hash)"},
  {"hash-clear!", prim_hash_clear_mutable, 1, 1, "(hash-clear! hash)"},
  {"hash-clear", prim_hash_clear, 1, 1, "(hash-clear hash)"},
  {"hash-copy-clear", prim_hash_copy_clear, 1, 1, "(hash-copy-clear hash)"},
  {"hash-copy", prim_hash_copy, 1, 1, "(hash-copy hash)"},
  {"%hash-copy", prim_hash_copy_as, 2, 2, "(%hash-copy hash immutable?)"},
  {"%hash-immutable", prim_hash_immutable, 1, 1, "(%hash-immutable hash)"},
  {"%hash-next", prim_hash_next, 2, 2, "(%hash-next hash position)"},
  {"%hash-key", prim_hash_key, 2, 2, "(%hash-key hash position)"},
  {"%hash-value", prim_hash_value, 2, 2, "(%hash-value hash position)"},
  {"hash-keys-subset?", prim_hash_keys_subset, 2, 2, "(hash-keys-subset? hash hash)"},
  {"equal-hash-code", prim_equal_hash_code, 1, 1, "(equal-hash-code obj)"},
  {"equal-hash", prim_equal_hash_code, 1, 1, "(equal-hash obj)"},
  {"hash-code", prim_equal_hash_code, 1, 1, "(hash-code obj)"},
  {"%with-key-found", prim_with_key_found, 3, -1, NULL},
  {"eqv-hash-code", prim_eqv_hash_code, 1, 1, "(eqv-hash-code obj)"},
  {"eq-hash-code", prim_eqv_hash_code, 1, 1, "(eq-hash-code obj)"},
  {0},
};
