/* symbol.c — symbols and keywords.
 *
 * Both live in one intern table, open addressing, split into many small tables by the upper bits
 * of the hash: a table grows by itself, so that interning never needs more than the headroom that
 * every primitive has. Symbols are not collected.
 */
#include "core/globals.h"
#include "text/near.h"
#include "text/symbol.h"
#include "text/string.h"
#include "text/utf8.h"
#include <stdio.h>

/* ---- the intern table ---- */

enum { SHARD_BITS = 8, SHARDS = 1 << SHARD_BITS, SHARD_FIRST_SIZE = 16 };

/* shards: a vector of SHARDS vectors (or #f); counts: how many entries each holds. */
static Value shards;
static uint32_t counts[SHARDS];

static void boot_table(void) {
  shards = make_vector(SHARDS, V_FALSE);
  heap_root(&shards);
}

/* The upper bits of a name's hash choose the shard, the lower ones the place in it. */

/* The place in the shard of the symbol with that name, or of the hole where it belongs. */
static Value *find_place(Value shard, uint32_t tag, Value name, uint64_t hash) {
  uint32_t mask = VEC_LENGTH(shard) - 1;
  for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
    Value *place = &VEC(shard)[i];
    if (*place == V_FALSE) return place;
    if (TAG(*place) == tag && string_equal(SYM(*place)->name, name)) return place;
  }
}

static Value grow_shard(Value old) {
  Value new = make_vector(old == V_FALSE ? SHARD_FIRST_SIZE : 2 * VEC_LENGTH(old), V_FALSE);
  if (old == V_FALSE) return new;
  uint32_t mask = VEC_LENGTH(new) - 1;
  for (uint32_t i = 0; i < VEC_LENGTH(old); i++) {
    Value symbol = VEC(old)[i];
    if (symbol == V_FALSE) continue;
    uint32_t j = (uint32_t)FIX_VALUE(SYM(symbol)->hash) & mask;
    while (VEC(new)[j] != V_FALSE) j = (j + 1) & mask;
    VEC(new)[j] = symbol;
  }
  return new;
}

static Value make_symbol(uint32_t tag, uint32_t flags, Value name, uint64_t hash) {
  Value symbol = heap_object(tag, flags, 3);
  SYM(symbol)->name = name;
  SYM(symbol)->hash = FIX((int64_t)hash);
  SYM(symbol)->letters = FIX(letters_of_name(name));
  return symbol;
}

/* An immutable string with these characters and no lineage: a name outlives what it came from. */
static Value frozen(Value s) {
  if ((OBJ_FLAGS(s) & H_IMMUTABLE) && STR(s)->lineage == V_FALSE) return s;
  uint32_t width = chars_width(STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s));
  Value copy = string_make(STR_LENGTH(s), width);
  chars_copy(STR_DATA(copy), width, STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s));
  SET_FLAG(copy, H_IMMUTABLE);
  return copy;
}

static Value intern_as(uint32_t tag, Value name) {
  if (!shards) boot_table();
  uint64_t hash = name_hash(name);
  uint32_t which = (uint32_t)(hash >> (NAME_HASH_BITS - SHARD_BITS));
  Value *shard = &VEC(shards)[which];
  if (*shard == V_FALSE) *shard = grow_shard(*shard);
  Value *place = find_place(*shard, tag, name, hash);
  if (*place != V_FALSE) return *place;
  *place = make_symbol(tag, 0, frozen(name), hash);
  Value symbol = *place;
  if (4 * ++counts[which] > 3 * VEC_LENGTH(*shard)) *shard = grow_shard(*shard);
  return symbol;
}

Value intern_narrow(const uint8_t *name, uint32_t length) {
  if (!shards) boot_table();
  uint64_t hash = narrow_hash(name, length) >> (64 - NAME_HASH_BITS);
  Value shard = VEC(shards)[hash >> (NAME_HASH_BITS - SHARD_BITS)];
  if (shard != V_FALSE) {
    uint32_t mask = VEC_LENGTH(shard) - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
      Value symbol = VEC(shard)[i];
      if (symbol == V_FALSE) break;
      if (!IS(symbol, T_SYMBOL) || SYM(symbol)->hash != FIX((int64_t)hash)) continue;
      Value known = SYM(symbol)->name;
      if (STR_LENGTH(known) == length && chars_equal(STR_DATA(known), STR_WIDTH(known), name, 1, length)) return symbol;
    }
  }
  return intern_as(T_SYMBOL, string_from_chars(name, 1, length));
}
Value intern_string(Value string) { return intern_as(T_SYMBOL, string); }
Value intern(const char *name) { return intern_as(T_SYMBOL, string_from_c(name)); }
Value keyword_string(Value string) { return intern_as(T_KEYWORD, string); }

/* ---- procedures of the prelude ---- */

Value leave_to(InPrelude *procedure, int argc, Value *args) {
  if (procedure->cell == V_FALSE) {
    heap_root(&procedure->cell);
    procedure->cell = global_cell(intern(procedure->name));
  }
  vm.tail_proc = CELL(procedure->cell)->value;
  vm.tail_argc = argc;
  if (argc <= (int)(sizeof vm.tail_args / sizeof *vm.tail_args)) {
    for (int i = 0; i < argc; i++) vm.tail_args[i] = args[i];
    return V_TAIL;
  }
  Value list = V_NIL;
  for (int i = argc; i-- > 0;) list = cons(args[i], list);
  return tail_apply(vm.tail_proc, list);
}

/* ---- fresh symbols ---- */

static uint64_t gensym_count;

static Value fresh_symbol(Value base) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)++gensym_count);
  Builder b;
  builder_init(&b);
  builder_string(&b, base);
  builder_c(&b, digits);
  Value name = builder_finish(&b);
  STR(name)->lineage = V_FALSE;
  SET_FLAG(name, H_IMMUTABLE);
  return make_symbol(T_SYMBOL, H_UNINTERNED, name, name_hash(name));
}

Value gensym(const char *prefix) { return fresh_symbol(string_from_c(prefix)); }

static Value prim_gensym(int argc, Value *args) {
  Value base = ARG_OR(0, V_FALSE);
  if (base == V_FALSE) return gensym("g");
  if (IS(base, T_SYMBOL)) base = SYM(base)->name;
  if (!IS(base, T_STRING)) return err_type(NULL, 0, "string or symbol", base);
  RESERVE(2 * string_size(STR_LENGTH(base) + 24, STR_WIDTH(base)));
  return fresh_symbol(base);
}

/* A long string's characters are copied in pieces, for a primitive that does nothing else that is long: then `frozen` has
   nothing to do. */
static Value long_frozen(Value s) {
  if (STR_LENGTH(s) <= LONG_PART || ((OBJ_FLAGS(s) & H_IMMUTABLE) && STR(s)->lineage == V_FALSE)) return s;
  TRY_LET(copy, is_cutting(vm.resume) ? cut_go_on(&vm.resume) : string_cut(&vm.resume, s, 0, STR_LENGTH(s)));
  STR(copy)->lineage = V_FALSE;
  SET_FLAG(copy, H_IMMUTABLE);
  return copy;
}

static Value prim_string_to_uninterned(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  TRY_LET(string, long_frozen(args[0]));
  RESERVE(string_size(STR_LENGTH(string), STR_WIDTH(string)));
  Value name = frozen(string);
  return make_symbol(T_SYMBOL, H_UNINTERNED, name, name_hash(name));
}

/* ---- conversions and tests ---- */

static Value prim_is_symbol(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_SYMBOL)); }
static Value prim_is_keyword(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_KEYWORD)); }

static Value prim_is_interned(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  return BOOL(!(OBJ_FLAGS(args[0]) & H_UNINTERNED));
}

static Value prim_symbol_to_string(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  return SYM(args[0])->name;
}

static Value intern_argument(uint32_t tag, Value *args) {
  CHECK_STRING(NULL, 0);
  TRY_LET(name, long_frozen(args[0]));
  uint64_t size = string_size(STR_LENGTH(name), STR_WIDTH(name));
  RESERVE(size);
  charge((int64_t)(size / 64));
  return intern_as(tag, name);
}

static Value prim_string_to_symbol(int argc, Value *args) { (void)argc; return intern_argument(T_SYMBOL, args); }
static Value prim_string_to_keyword(int argc, Value *args) { (void)argc; return intern_argument(T_KEYWORD, args); }

static Value prim_keyword_to_string(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_KEYWORD)) return err_type(NULL, 0, "keyword", args[0]);
  return SYM(args[0])->name;
}

/* The names are copied in pieces: progress is the text, and up to where of which it has come. */
static Value append_long(int argc, Value *args, uint64_t length) {
  Value *kept = progress(), text = kept ? kept[0] : V_FALSE;
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, from = kept ? (uint32_t)FIX_VALUE(kept[3]) : 0, width = 1;
  if (!kept) {
    for (int i = 0; i < argc; i++)
      if (STR_WIDTH(SYM(args[i])->name) > width) width = STR_WIDTH(SYM(args[i])->name);
    RESERVE(string_size(length, width));
    text = string_make((uint32_t)length, width);
  }
  width = STR_WIDTH(text);
  for (int i = kept ? (int)FIX_VALUE(kept[2]) : 0; i < argc; i++, from = 0) {
    Value name = SYM(args[i])->name;
    while (from < STR_LENGTH(name)) {
      uint32_t part = STR_LENGTH(name) - from < LONG_PART ? STR_LENGTH(name) - from : LONG_PART;
      chars_copy(STR_DATA(text) + (size_t)at * width, width, STR_DATA(name) + (size_t)from * STR_WIDTH(name), STR_WIDTH(name), part);
      at += part;
      from += part;
      charge(part / 64 + 1);
      if (should_pause()) return pause_keeping(4, text, FIX(at), FIX(i), FIX(from));
    }
  }
  SET_FLAG(text, H_IMMUTABLE);
  return intern_as(T_SYMBOL, text);
}

static Value prim_symbol_append(int argc, Value *args) {
  uint64_t length = 0;
  for (int i = 0; i < argc; i++) {
    CHECK_SYMBOL(NULL, i);
    length += STR_LENGTH(SYM(args[i])->name);
  }
  if (length > LONG_PART) return append_long(argc, args, length);
  RESERVE(3 * string_size(length, 4));
  Builder b;
  builder_init(&b);
  for (int i = 0; i < argc; i++) builder_string(&b, SYM(args[i])->name);
  return intern_string(builder_finish(&b));
}

/* All of the arguments are checked even where the first two decide, as in every n-ary comparison. */
static Value all_symbols(int argc, Value *args, uint32_t tag, const char *expected) {
  for (int i = 0; i < argc; i++)
    if (!IS(args[i], tag)) return err_type(NULL, i, expected, args[i]);
  return V_TRUE;
}

static Value prim_symbol_equal(int argc, Value *args) {
  Value checked = all_symbols(argc, args, T_SYMBOL, "symbol");
  if (IS_SIGNAL(checked)) return checked;
  for (int i = 1; i < argc; i++)
    if (args[i] != args[i - 1]) return V_FALSE;
  return V_TRUE;
}

static Value ascending(int argc, Value *args, uint32_t tag, const char *expected) {
  Value checked = all_symbols(argc, args, tag, expected);
  if (IS_SIGNAL(checked)) return checked;
  for (int i = 1; i < argc; i++)
    if (string_compare(SYM(args[i - 1])->name, SYM(args[i])->name) >= 0) return V_FALSE;
  return V_TRUE;
}

static Value prim_symbol_less(int argc, Value *args) { return ascending(argc, args, T_SYMBOL, "symbol"); }
static Value prim_keyword_less(int argc, Value *args) { return ascending(argc, args, T_KEYWORD, "keyword"); }

const PrimDef symbol_prims[] = {
  {"symbol?", prim_is_symbol, 1, 1, "(symbol? obj)"},
  {"symbol=?", prim_symbol_equal, 1, -1, "(symbol=? symbol ...)"},
  {"symbol<?", prim_symbol_less, 1, -1, "(symbol<? symbol ...)"},
  {"symbol->string", prim_symbol_to_string, 1, 1, "(symbol->string symbol)"},
  {"symbol->immutable-string", prim_symbol_to_string, 1, 1, "(symbol->immutable-string symbol)"},
  {"string->symbol", prim_string_to_symbol, 1, 1, "(string->symbol string)"},
  {"string->uninterned-symbol", prim_string_to_uninterned, 1, 1, "(string->uninterned-symbol string)"},
  {"symbol-interned?", prim_is_interned, 1, 1, "(symbol-interned? symbol)"},
  {"symbol-append", prim_symbol_append, 0, -1, "(symbol-append symbol ...)"},
  {"gensym", prim_gensym, 0, 1, "(gensym [base])"},
  {"generate-uninterned-symbol", prim_gensym, 0, 1, "(generate-uninterned-symbol [base])"},
  {"keyword?", prim_is_keyword, 1, 1, "(keyword? obj)"},
  {"keyword->string", prim_keyword_to_string, 1, 1, "(keyword->string keyword)"},
  {"string->keyword", prim_string_to_keyword, 1, 1, "(string->keyword string)"},
  {"keyword<?", prim_keyword_less, 1, -1, "(keyword<? keyword ...)"},
  {0},
};
