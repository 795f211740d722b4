/* table.h — hash tables as the files of the core see them.
 *
 * A table keeps its entries in insertion order in a store; a compact index of positions, one, two
 * or four bytes each, finds them by hash. A store is a vector:
 *
 *     count used epoch addressed index debt work  key value  key value ...
 *
 * An entry that was removed has V_UNBOUND as its key. The index is a T_RAW: the 32-bit hash of
 * every entry, then the open-addressed positions (plus one; 0 is free) of exactly the live ones.
 *
 * A mutable table owns its store. Immutable tables are versions of one: the version last touched
 * holds the store, every other one says in what single position it differs from its neighbour on
 * the way there. Looking at an older version walks that way and turns it round (Baker's trick), so
 * the usual linear use costs no more than a mutable table. Versions that are used by turns end up
 * with a store each, once the walks have cost as much as a copy. Every version knows its count.
 */
#ifndef RLM_DATA_TABLE_H
#define RLM_DATA_TABLE_H
#include "core/value.h"

enum table_kind { TABLE_EQUAL, TABLE_EQV, TABLE_EQ, TABLE_STRING };
Value table_make(enum table_kind kind, bool immutable);
Value table_get(Value table, Value key, Value otherwise); /* no guest procedure is called */
void table_set(Value table, Value key, Value value);      /* mutable tables; small growth fits the headroom */
uint32_t table_count(Value table);
/* iterate in insertion order: position starts at 0; false at the end */
bool table_next(Value table, uint32_t *position, Value *key, Value *value);

struct Table {
  uint64_t header;     /* H_IMMUTABLE: a version */
  Value info;          /* fixnum: enum table_kind, TABLE_LOOSE, TABLE_CLOSED; above them the count, where this version is a difference */
  Value store;         /* the store; or the neighbour (a T_TABLE) where this version is a difference */
  Value position;      /* of the difference: where (below the key's hash), and the entry that this version has there */
  Value key;           /* V_UNBOUND: none */
  Value value;
};
#define TABLE(v) ((struct Table *)PTR(v))
#define TABLE_KIND(v) ((enum table_kind)(FIX_VALUE(TABLE(v)->info) & 3))

/* From JSON (eq, symbols are the keys) or the host (equal, strings are): symbols and strings
   find each other's entries. */
#define TABLE_LOOSE 4
/* All keys that it may ever have are there: to look for another one is a slip. */
#define TABLE_CLOSED 8
enum { TABLE_FLAG_BITS = 4, TABLE_FLAGS = (1 << TABLE_FLAG_BITS) - 1 };

/* What goes through a table that a program made brings it first: an old version may be a million changes from the one that holds
   the store. V_TRUE, or V_AGAIN (the table's own progress is not in vm.resume, which only is not false then). Without it
   the functions here do so in one go. */
Value table_bring(Value table);
Value table_bring_both(Value a, Value b);        /* two to be gone through together; b with valid hashes, too */
bool table_is_near(Value table, int64_t most);   /* so many changes away at the most; 0: the store is here */

Value table_make_sized(enum table_kind kind, bool immutable, uint32_t entries);  /* fits the headroom up to 500 */
uint64_t table_bytes(uint32_t entries);          /* what table_make_sized allocates */
bool table_room(Value table);                    /* room for one more entry; false: memory is short */
bool table_ready(Value table);                   /* likewise, for tables that may be long: the work for it is done in pieces. False: return */
Value table_wait(Value table);                   /* this: V_AGAIN, since memory is short or the slice is over */
bool table_remove(Value table, Value key);       /* mutable tables */
/* For tables that are made one like the other: the key that `model` has at that position, a symbol, which this one does
   not have yet. It was made with room for as many entries, and nothing of either is removed. */
void table_append_like(Value table, Value model, uint32_t position, Value value);
void table_set_loose(Value table);
bool table_is_loose(Value table);

/* The live entry at or after a position: its position, or -1. */
int64_t table_next_position(Value table, uint32_t position);
void table_entry(Value table, uint32_t position, Value *key, Value *value);

void table_patch(Value table, uint32_t position, Value value);   /* changes a value, of an immutable table too */

/* Where the key is: a position, TABLE_ABSENT, or TABLE_DEEP where the keys' comparison takes more
   than a bounded effort, or TABLE_CUSTOM where the prelude must compare. */
enum { TABLE_ABSENT = -1, TABLE_DEEP = -2, TABLE_CUSTOM = -3 };
int64_t table_find(Value table, Value key, int effort);
#endif
