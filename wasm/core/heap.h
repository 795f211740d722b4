/* heap.h — allocation and collection.
 *
 * The collector runs only between two VM instructions, never inside a primitive. So C code holds
 * plain pointers and Values in locals without registering them; they stay valid until it returns.
 * The price: a primitive cannot collect when memory is short. The rule that pays it:
 *
 *   - every call of a primitive may allocate HEAP_HEADROOM bytes without asking;
 *   - one that may need more asks first:  if (!heap_reserve(bytes)) return need_memory(bytes);
 *     and after that may allocate so much in addition. need_memory returns V_AGAIN; the VM
 *     collects and calls the primitive again with the same arguments, or ends the evaluation
 *     with the memory limit. So: reserve before the first side effect.
 *   - one whose need is not known in advance works in pieces (see V_AGAIN in core/prims.h).
 */
#ifndef RLM_CORE_HEAP_H
#define RLM_CORE_HEAP_H
#include "core/value.h"

#define HEAP_HEADROOM (64u * 1024u)

/* Never fail (see above). Slots of a new object are NOT initialised by heap_object: fill them
   before anything can collect. */
Value heap_object(uint32_t tag, uint32_t flags, uint32_t slots);
Value heap_raw(uint32_t tag, uint32_t flags, uint32_t bytes);   /* contents not initialised */
/* A string and the storage of its characters, which are not initialised. */
Value heap_string(uint32_t flags, uint32_t length, uint32_t bytes);
bool heap_reserve(uint64_t bytes);

Value cons(Value car, Value cdr);
/* A list under construction. */
typedef struct { Value head, last; } List;
#define EMPTY_LIST ((List){V_NIL, V_NIL})
static inline void list_start(List *l) { *l = EMPTY_LIST; }
static inline void list_add_pair(List *l, Value pair) {         /* a new one, whose cdr is the empty list */
  if (l->last == V_NIL) l->head = pair; else CDR(l->last) = pair;
  l->last = pair;
}
static inline Value list_add(List *l, Value v) {
  Value pair = cons(v, V_NIL);
  list_add_pair(l, pair);
  return pair;
}
Value cons_at(Value car, Value cdr, uint32_t place);            /* an LPAIR, where place != 0 */
Value list_n(int count, ...);                                   /* list of count Values */
int64_t list_length(Value v);                                   /* -1: not a proper list, or a circular one */
Value make_vector(uint32_t length, Value fill);
/* What was raw storage and is filled with values now is a vector. */
static inline Value vector_of_raw(Value raw, uint32_t length) {
  HEADER_OF(raw) = HEADER(T_VECTOR, OBJ_FLAGS(raw), length);
  return FROM_PTR(T_VECTOR, PTR(raw));
}
Value make_flonum(double d);
/* The block that small objects are taken from: what is made all the time is made in place. */
extern uint8_t *heap_bump, *heap_bump_end;
#ifdef RLM_DEBUG                        /* which counts allocations */
static inline bool room_in_place(void) { return false; }
#else
static inline bool room_in_place(void) { return (uint32_t)(heap_bump_end - heap_bump) >= 16; }
#endif
static inline Value flonum_in_room(double d) {     /* there is some */
  uint64_t *p = (uint64_t *)heap_bump;
  heap_bump += 16;
  p[0] = HEADER(T_FLONUM, 0, 8);
  *(double *)(p + 1) = d;
  return FROM_PTR(T_FLONUM, p);
}
static inline Value pair_in_room(Value car, Value cdr) {
  Value *p = (Value *)heap_bump;
  heap_bump += 16;
  p[0] = car;
  p[1] = cdr;
  return FROM_PTR(T_PAIR, p);
}
static inline Value cons_in_place(Value car, Value cdr) { return room_in_place() ? pair_in_room(car, cdr) : cons(car, cdr); }
/* A string of so many narrow characters, which are not initialised, and lie behind it. */
static inline uint32_t narrow_bytes(uint32_t count) { return (uint32_t)sizeof(struct String) + 8 + ((count + 7) & ~7u); }
static inline Value narrow_in_room(uint32_t count) {
  struct String *s = (struct String *)heap_bump;
  uint64_t *raw = (uint64_t *)(s + 1);
  heap_bump += narrow_bytes(count);
  s->header = HEADER(T_STRING, H_WIDTH1, 3);
  s->length = FIX(count);
  s->chars = FROM_PTR(T_RAW, raw);
  s->lineage = V_FALSE;
  *raw = HEADER(T_RAW, 0, count);
  return FROM_PTR(T_STRING, s);
}
static inline Value make_narrow_in_place(uint32_t count) {
#ifndef RLM_DEBUG
  if (count <= 1024 && (uint32_t)(heap_bump_end - heap_bump) >= narrow_bytes(count)) return narrow_in_room(count);
#endif
  return heap_string(H_WIDTH1, count, count);
}
Value make_box(Value v);
Value make_values(uint32_t count, const Value *values);         /* one value is itself */
Value make_record(Value rtd, uint32_t fields);                  /* fields start as #f */

/* Static variables of C that hold Values across collections are registered once, at boot. */
void heap_root(Value *variable);

/* Who runs on the heap: the virtual machine, which says at boot how it takes part in a collection.
   Its stacks are roots, and its frames hold addresses of code, which moves. */
typedef struct {
  void (*before_collection)(void);
  void (*after_collection)(void);
  uint32_t (*scan_roots)(void (*visit)(Value *), uint32_t from, uint32_t most);
                                /* visits at most so many, from this one on; how many: 0 where there are no more */
  void (*unused_memory)(uintptr_t ranges[4]);  /* two address ranges (from, to) of C data that a snapshot may leave out */
} HeapClient;
void heap_serve(const HeapClient *client);
void heap_init(void);
bool heap_collect(void);          /* at a safe point only. False: the slice's steps are used up, call it again in the next one */
bool heap_collecting(void);       /* in the middle of one: nothing may run but heap_collect, only raw objects be allocated */
void heap_seal(void);             /* everything live becomes part of the image: never moved, never freed */
uint64_t heap_used(void);         /* bytes in use by objects beyond the image */
uint32_t heap_image_end(void);     /* the page behind the image's own objects */
uint32_t heap_touched_end(void);  /* no object was ever in a page from this one on, since the instance was born */
uint64_t heap_collected(void);    /* bytes that collections copied or looked through since the instance was born */
const uint8_t *heap_page_map(void);  /* one byte a 4 KiB page of linear memory: 0 = free, its content means nothing */
uint32_t heap_page_map_length(void);
bool heap_has_room(uint64_t bytes); /* after a collection: can the VM go on, `bytes` wanted? */
#ifdef RLM_DEBUG
extern uint32_t heap_collect_every; /* allocations from one collection to the next; 0: as memory asks for it */
#endif
#ifndef __wasm__
extern uint32_t heap_page_limit;    /* where memory stops growing, as a host's limit makes it; at most what it is at first */
#endif
uint32_t heap_epoch(void);       /* changes whenever a collection may have moved objects: address hashes are stale */
#endif
